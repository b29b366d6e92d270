"""On what ground, and about whom: the consents a disclosure rested on, the owner of what was asked.

Both are for the ledger and the notice. Neither decides anything: `visible()` has done that.
"""

from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from service.database.metadata import GUID, MICROS
from service.records.listed import one_of
from service.records.tables import consent_rule, ix_reference, resource, resource_version
from service.records.view import View
from service.vocabulary import EntryId, PatientId, Purpose, is_id

_r = consent_rule.c
_PERMITS = select(consent_rule).where(
    _r.patient == bindparam("patient", type_=GUID),
    _r.effect == "permit",
    one_of(_r.recipient, "recipients"),
    one_of(_r.purpose, "purposes"),
    _r.lo <= bindparam("at", type_=MICROS),
    _r.hi > bindparam("at", type_=MICROS),
)
_ATTESTED = (
    select(ix_reference.c.id)
    .where(
        ix_reference.c.type == "Provenance",
        ix_reference.c.param == "target",
        ix_reference.c.target_type == bindparam("of_type"),
        ix_reference.c.target_id == bindparam("of_id", type_=GUID),
    )
    .limit(1)
)
_FIRST = (
    select(resource_version.c.entry)
    .join(resource, resource.c.patient == resource_version.c.patient)
    .where(
        resource.c.type == bindparam("of_type"),
        resource.c.id == bindparam("of_id", type_=GUID),
        resource_version.c.type == resource.c.type,
        resource_version.c.id == resource.c.id,
        resource_version.c.version == 1,
    )
)
_OWNER = select(resource.c.patient).where(
    resource.c.type == bindparam("of_type"), resource.c.id == bindparam("of_id", type_=GUID)
)


def permits(connection: Connection, view: View, patient: PatientId) -> list[Row[Any]]:
    """The rows of consent_rule in force that name this caller and purpose, as 42 CFR 2.32 asks."""
    purposes = [view.purpose] if view.purpose == Purpose.BTG else [view.purpose, "*"]
    values = {"patient": patient, "recipients": view.recipients, "purposes": purposes}
    return list(connection.execute(_PERMITS, values | {"at": view.at}))


def attested(connection: Connection, type_: str, id_: str) -> bool:
    """Whether somebody's Provenance stands over this record: it was signed."""
    found = connection.execute(_ATTESTED, {"of_type": type_, "of_id": id_})
    return found.first() is not None


def first_entry(connection: Connection, type_: str, id_: str) -> EntryId | None:
    """The ledger entry of the record's first version: who wrote it."""
    found = connection.execute(_FIRST, {"of_type": type_, "of_id": id_}).scalar_one_or_none()
    return None if found is None else EntryId(found)


def owner(connection: Connection, type_: str, id_: str) -> PatientId | None:
    """Whose record was asked for in vain: for the refusal's entry, never for the answer."""
    if not is_id(id_):
        return None
    found = connection.execute(_OWNER, {"of_type": type_, "of_id": id_}).scalar_one_or_none()
    return None if found is None else PatientId(found)
