"""The supervisor's door: what waits for a co-signature, co-sign, return with a question."""

import base64
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.access.act import Act
from service.errors import Forbidden, Issue, Malformed
from service.notes import attestation, oversight, states
from service.notes.author import Author, Program
from service.records.document import parse
from service.vocabulary import Action, ResourceId
from service.web import Body, Caller, Gate

router = APIRouter(prefix="/supervise", tags=["supervise"])
WAITING = [("code", "urn:peernotes:task|co-sign"), ("status", "requested"), ("_count", "200")]
LONGEST_QUESTION = 2000


@router.get("/queue")
def queue(caller: Caller, access: Gate) -> Response:
    """Notes that wait for this supervisor, the earliest due first, with their text."""
    with access.permit(Action.SEARCH, caller, type="Task") as act:
        waiting = act.search(act.asked("Task", WAITING)).stored
        found = [_row(act, parse(stored.body)) for stored in waiting]
    found.sort(key=lambda row: str(row["due"]))
    return _json({"waiting": found})


def _row(act: Act, task: dict[str, Any]) -> dict[str, Any]:
    note_id = ResourceId(task["focus"]["reference"].removeprefix("DocumentReference/"))
    stored = act.records.read("DocumentReference", note_id)
    note = parse(stored.body)
    text = base64.b64decode(note["content"][0]["attachment"]["data"]).decode()
    return {
        "note": note_id,
        "version": stored.version,
        "task": task["id"],
        "participant": task["for"]["reference"].removeprefix("Patient/"),
        "author": task["requester"]["reference"].removeprefix("Practitioner/"),
        "due": task["restriction"]["period"]["end"],
        "text": text,
    }


@router.post("/notes/{id_}/co-sign")
def co_sign(request: Request, id_: str, caller: Caller, access: Gate) -> Response:
    """The note becomes final, the Task completed, a validation Provenance says who."""
    with access.permit(Action.UPDATE, caller, type="DocumentReference", id=id_) as act:
        supervisor = _supervisor(act, request)
        stored = act.records.read("DocumentReference", ResourceId(id_))
        final = states.co_sign(parse(stored.body), supervisor.practitioner)
        written = act.update(final, if_match=stored.version)
        now = supervisor.recorded()
        target = attestation.versioned("DocumentReference", id_, written.stored.version)
        signature = attestation.co_signed(
            supervisor, [target], labels=supervisor.program.labels(), signed=now
        )
        act.create(signature, id=ResourceId(signature["id"]))
        for task, version in _open_tasks(act, id_):
            done = oversight.completed(task, supervisor.practitioner, now)
            act.update(done, if_match=version)
    return _json({"note": id_, "version": written.stored.version, "state": "co-signed"})


@router.post("/notes/{id_}/return")
def return_note(request: Request, id_: str, caller: Caller, body: Body, access: Gate) -> Response:
    """Back to its author with a question; the note stays signed and readable."""
    question = _question(body)
    with access.permit(Action.UPDATE, caller, type="DocumentReference", id=id_) as act:
        supervisor = _supervisor(act, request)
        act.records.read("DocumentReference", ResourceId(id_))
        for task, version in _open_tasks(act, id_):
            back = oversight.returned(
                task, supervisor.practitioner, supervisor.recorded(), question
            )
            act.update(back, if_match=version)
    return _json({"note": id_, "state": "returned"})


def _supervisor(act: Act, request: Request) -> Author:
    caller = act.caller
    if caller.role != "supervisor" or caller.practitioner is None or caller.organisation is None:
        raise Forbidden("Only a supervisor co-signs or returns a note.")
    return Author(
        practitioner=caller.practitioner,
        program=Program(caller.organisation, request.app.state.settings.sensitivities),
        device=ResourceId(caller.token),
        operation=ResourceId(act.id),
        operation_digest="",
        received=act.at,
    )


def _open_tasks(act: Act, note: str) -> list[tuple[dict[str, Any], int]]:
    asked = act.asked("Task", [*WAITING, ("focus", f"DocumentReference/{note}")])
    return [(parse(stored.body), stored.version) for stored in act.search(asked).stored]


def _question(body: bytes) -> str:
    try:
        question = msgspec.json.decode(body)["question"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, RecursionError):
        question = None
    if not isinstance(question, str) or not 0 < len(question.strip()) <= LONGEST_QUESTION:
        issue = Issue("required", "Say what is asked, in at most 2000 characters.", "question")
        raise Malformed("A note is returned with a question.", issue)
    return question


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), 200, None, "application/json")
