"""A quarantined operation, kept whole for the supervisor: sealed under its participant's key.

The row's own answer is sealed under the house key; erasing a participant must take with it what
was signed about them, so the operation has a second seal. Without a participant here, the house's.
"""

import base64
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from service.access.act import Act
from service.errors import SealBroken
from service.keys.keyring import Keyring
from service.records import grounds
from service.sync.operation import Operation
from service.vocabulary import HOUSE, PatientId, ResourceId

PLACE = "sync_operation.held"


@dataclass(frozen=True, slots=True)
class HeldOperation:
    """What its author signed, and in whose name it would be filed."""

    operation: Operation
    patient: PatientId
    practitioner: ResourceId
    organisation: ResourceId


def keep(act: Act, operation: Operation) -> dict[str, Any]:
    """For the operation's row: whose it is, and the sealed whole."""
    patient = _about(act.connection, operation)
    sealed = act.keyring.seal(
        act.connection, patient=patient, type="Operation", id=operation.op_id, version=1,
        body=msgspec.json.encode(operation), place=PLACE,
    )  # fmt: skip
    return {
        "patient": patient,
        "practitioner": act.caller.practitioner,
        "organisation": act.caller.organisation,
        "sealed": base64.b64encode(sealed).decode(),
    }


def opened(
    connection: Connection, keyring: Keyring, op_id: str, kept: dict[str, Any]
) -> HeldOperation | None:
    """None once the participant has been erased."""
    try:
        body = keyring.open(
            connection, patient=PatientId(kept["patient"]), type="Operation", id=op_id, version=1,
            sealed=base64.b64decode(kept["sealed"]), place=PLACE,
        )  # fmt: skip
    except SealBroken:
        return None
    return HeldOperation(
        msgspec.json.decode(body, type=Operation), PatientId(kept["patient"]),
        ResourceId(kept["practitioner"]), ResourceId(kept["organisation"]),
    )  # fmt: skip


def _about(connection: Connection, operation: Operation) -> PatientId:
    """The participant, if there is such a one here: nobody's key is made for a mistyped id."""
    payload = operation.payload
    named = (("Patient", payload.get("participant")), ("DocumentReference", payload.get("note")))
    for type_, id_ in named:
        owner = grounds.owner(connection, type_, id_) if isinstance(id_, str) else None
        if owner is not None:
            return owner
    return HOUSE
