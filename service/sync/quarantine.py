"""The supervisor's door to what could not be filed: read it, let it in, or dismiss it.

Let in, it is filed under its author's name, by the same handlers, with a Provenance that says who
released it. A private passage is filed unread. Nobody decides about their own.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.access.act import Act
from service.errors import Absent, Forbidden, Gone, Issue
from service.notes import attestation
from service.notes.author import Author, Program
from service.records import operations
from service.sync import held
from service.sync.handlers import HANDLERS
from service.sync.held import HeldOperation
from service.sync.operation import is_op_id
from service.sync.push import Result
from service.vocabulary import HOUSE, Action, Purpose, ResourceId, Role
from service.web import Caller, Gate

router = APIRouter(prefix="/supervise/quarantine", tags=["supervise"])
MOST_LISTED = 500
DISMISSED = Issue("dismissed", "Your supervisor decided not to file this: speak with them.")


@router.get("")
def waiting(caller: Caller, access: Gate) -> Response:
    """Quarantined operations about participants whom this supervisor sees, the oldest first."""
    with access.permit(Action.SEARCH, caller, type="DocumentReference") as act:
        _demand_supervisor(act)
        found = []
        for done in operations.waiting(act.connection, act.keyring):
            kept = _opened(act, done)
            if kept is not None and _sees(act, kept):
                found.append(_row(act, done, kept))
            if len(found) == MOST_LISTED:
                break
    return Response(msgspec.json.encode({"waiting": found}), 200, None, "application/json")


@router.post("/{op_id}/release")
def release(request: Request, op_id: str, caller: Caller, access: Gate) -> Response:
    """Files it as its author signed it; what stands against it now (422, 409) leaves it waiting."""
    sensitivities = request.app.state.settings.sensitivities
    with access.permit(
        Action.SYNC_PUSH, caller, type="Encounter", purpose=Purpose.TREAT
    ) as act:  # filing a note is treatment, whoever does it
        kept, supervisor = _taken(act, op_id, sensitivities)
        operation = kept.operation
        act.file_for(kept.practitioner)
        act.records.read("Patient", kept.patient)
        author = Author(
            practitioner=kept.practitioner, program=Program(kept.organisation, sensitivities),
            device=ResourceId(operation.device_id), operation=ResourceId(op_id),
            operation_digest=operation.sha256, received=act.at,
        )  # fmt: skip
        version = HANDLERS[operation.type][1](act, operation, author)
        target = attestation.versioned(operation.entity.type, operation.entity.id, version)
        released = attestation.released(
            supervisor, [target], operation=ResourceId(op_id), labels=supervisor.program.labels()
        )
        act.create(released, id=ResourceId(released["id"]))
        result = Result(op_id, "applied", version)
        _decide(act, result)
    return Response(msgspec.json.encode(result.wire()), 200, None, "application/json")


@router.post("/{op_id}/dismiss")
def dismiss(request: Request, op_id: str, caller: Caller, access: Gate) -> Response:
    """Not filed; it stays sealed in its row, and its author's tablet is told to ask."""
    with access.permit(Action.SYNC_PUSH, caller, type="Encounter") as act:
        kept, _ = _taken(act, op_id, request.app.state.settings.sensitivities)
        act.about = None if kept.patient == HOUSE else kept.patient
        if not _sees(act, kept):
            raise _absent()
        result = Result(op_id, "rejected", issues=(DISMISSED,))
        _decide(act, result)
    return Response(msgspec.json.encode(result.wire()), 200, None, "application/json")


def _taken(
    act: Act, op_id: str, sensitivities: tuple[str, ...]
) -> tuple[HeldOperation, Author]:  # fmt: skip
    """The operation to decide about, and the supervisor who does; Absent if it does not wait."""
    supervisor = _demand_supervisor(act)
    done = operations.find(act.connection, act.keyring, op_id) if is_op_id(op_id) else None
    if done is None or done.status != operations.QUARANTINED:
        raise _absent()
    kept = _opened(act, done)
    if kept is None or kept.organisation != act.caller.organisation:
        raise _absent()
    if done.principal == act.caller.principal:
        raise Forbidden("Nobody decides about their own work.")
    return kept, Author(
        practitioner=supervisor, program=Program(kept.organisation, sensitivities),
        device=ResourceId(act.caller.token), operation=ResourceId(act.id), operation_digest="",
        received=act.at,
    )  # fmt: skip


def _demand_supervisor(act: Act) -> ResourceId:
    caller = act.caller
    if caller.role is not Role.SUPERVISOR or caller.practitioner is None:
        raise Forbidden("This is the supervisor's door.")
    return caller.practitioner


def _opened(act: Act, done: operations.Done) -> HeldOperation | None:
    kept = msgspec.json.decode(done.result).get("held")
    return held.opened(act, done.op_id, kept) if kept else None


def _sees(act: Act, kept: HeldOperation) -> bool:
    """Their participant's, or one about nobody that is known here: somebody must dismiss that."""
    if kept.organisation != act.caller.organisation:
        return False
    return kept.patient == HOUSE or _visible(act, "Patient", kept.patient)


def _visible(act: Act, type_: str, id_: str) -> bool:
    try:
        act.records.read(type_, id_)
    except (Absent, Gone):
        return False
    return True


def _row(act: Act, done: operations.Done, kept: HeldOperation) -> dict[str, Any]:
    operation = kept.operation
    return {
        "op_id": done.op_id,
        "type": operation.type,
        "author": kept.practitioner,
        "participant": None if kept.patient == HOUSE else kept.patient,
        "device": done.device,
        "received": done.received,
        "occurred": operation.occurred,
        "payload": _for_the_team(act, operation.payload),
    }


def _for_the_team(act: Act, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Without private passages, and without what is added to a note that the reader may not see."""
    shown = dict(payload)
    passages = payload.get("passages")
    if isinstance(passages, list):
        shown["passages"] = [
            each for each in passages if isinstance(each, dict) and each.get("audience") == "team"
        ]
    if "note" in payload and not _visible(act, "DocumentReference", str(payload["note"])):
        shown.pop("text", None)
    return shown


def _decide(act: Act, result: Result) -> None:
    """The row keeps what was held: a note once signed is never lost."""
    done = operations.find(act.connection, act.keyring, result.op_id)
    kept = msgspec.json.decode(done.result) if done else {}
    operations.decide(
        act.connection, act.keyring, op_id=result.op_id, status=result.status,
        result=msgspec.json.encode(result.wire() | {"held": kept.get("held")}),
    )  # fmt: skip


def _absent() -> Absent:
    return Absent("No such operation waits for you.")
