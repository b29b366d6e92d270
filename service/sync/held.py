"""A quarantined operation, kept whole for the supervisor: sealed under its participant's key.

The row's own answer is sealed under the house key; erasing a participant must take with it what
was signed about them, so the operation has a second seal. Without a participant here, the house's.
"""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from service.access.act import Act
from service.errors import Invalid
from service.records import grounds, operations
from service.sync.operation import Operation
from service.vocabulary import HOUSE, Micros, PatientId, ResourceId

FAST_CLOCK = timedelta(days=1)


class Held(Invalid):
    """Not to be filed as it is, though nothing in it is wrong: a supervisor decides."""


@dataclass(frozen=True, slots=True)
class HeldOperation:
    """What its author signed, and in whose name it would be filed."""

    operation: Operation
    patient: PatientId
    practitioner: ResourceId
    organisation: ResourceId


def demand_past(operation: Operation, at: Micros) -> None:
    """Raises Held for what was signed tomorrow. What cannot be read is the handler's to refuse."""
    signed = operation.payload.get("signed_at", operation.payload.get("at"))
    try:
        ahead = datetime.fromisoformat(str(signed)) - datetime.fromtimestamp(at / 1_000_000, UTC)
    except (ValueError, TypeError):
        return
    if ahead > FAST_CLOCK:
        raise Held("The tablet's clock cannot be right.")


def keep(act: Act, operation: Operation) -> dict[str, Any]:
    """For the operation's row: whose it is, and the sealed whole."""
    patient = _about(act, operation)
    sealed = operations.hold(
        act.connection, act.keyring, patient, operation.op_id, msgspec.json.encode(operation)
    )
    return {
        "patient": patient,
        "practitioner": act.caller.practitioner,
        "organisation": act.caller.organisation,
        "sealed": base64.b64encode(sealed).decode(),
    }


def opened(act: Act, op_id: str, kept: dict[str, Any]) -> HeldOperation | None:
    """None once the participant has been erased."""
    sealed = base64.b64decode(kept["sealed"])
    body = operations.held(act.connection, act.keyring, PatientId(kept["patient"]), op_id, sealed)
    if body is None:
        return None
    return HeldOperation(
        msgspec.json.decode(body, type=Operation), PatientId(kept["patient"]),
        ResourceId(kept["practitioner"]), ResourceId(kept["organisation"]),
    )  # fmt: skip


def _about(act: Act, operation: Operation) -> PatientId:
    """The participant, if there is such a one here: nobody's key is made for a mistyped id."""
    payload = operation.payload
    named = (("Patient", payload.get("participant")), ("DocumentReference", payload.get("note")))
    for type_, id_ in named:
        owner = grounds.owner(act.connection, type_, id_) if isinstance(id_, str) else None
        if owner is not None:
            return owner
    return HOUSE
