"""Break-glass grants: one caller, one participant, some minutes; the 2.51(c) record beside each.

The record (reason, recipient, facility) is sealed under the participant's key. Opening a grant
looks at nothing of the participant's, so it answers alike whether or not they exist here.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select

from service.database.ids import uuid7
from service.database.metadata import MICROS
from service.errors import Invalid, SealBroken
from service.keys.keyring import Keyring
from service.records.tables import break_glass
from service.vocabulary import Micros, PatientId

LONGEST = 3_600_000_000
PLACE = "break_glass.sealed"
LIST = (
    select(break_glass)
    .where(
        break_glass.c.hi > bindparam("since", type_=MICROS),
        break_glass.c.lo < bindparam("until", type_=MICROS),
    )
    .order_by(break_glass.c.lo, break_glass.c.id)
)


@dataclass(frozen=True, slots=True)
class Grant:
    """`record` is None once the participant has been erased."""

    id: str
    patient: PatientId
    principal: str
    lo: Micros
    hi: Micros
    record: bytes | None


def open_grant(
    connection: Connection, keyring: Keyring, *, patient: PatientId, principal: str,
    at: Micros, until: Micros, record: bytes,
) -> str:  # fmt: skip
    """From `at` to `until`, at most an hour, `principal` sees this participant under BTG."""
    if not at < until <= at + LONGEST:
        raise Invalid("A break-glass grant lasts an hour at most.")
    id_ = uuid7(at)
    sealed = keyring.seal(
        connection, patient=patient, type="BreakGlass", id=id_, version=1, body=record, place=PLACE
    )
    connection.execute(insert(break_glass), {
        "id": id_, "patient": patient, "principal": principal, "lo": at, "hi": until,
        "sealed": sealed,
    })  # fmt: skip
    return id_


def grants(connection: Connection, keyring: Keyring, since: Micros, until: Micros) -> list[Grant]:
    """All that were in force at some time in [since, until), for the compliance officer."""
    return [
        Grant(row.id, row.patient, row.principal, row.lo, row.hi, _record(connection, keyring, row))
        for row in connection.execute(LIST, {"since": since, "until": until}).all()
    ]


def _record(connection: Connection, keyring: Keyring, row: Row[Any]) -> bytes | None:
    try:
        return keyring.open(
            connection, patient=row.patient, type="BreakGlass", id=row.id, version=1,
            sealed=row.sealed, place=PLACE,
        )  # fmt: skip
    except SealBroken:
        return None
