"""The supervisor's door: what waits for a co-signature, co-sign, return with a question."""

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.access.act import Act
from service.access.caller import Caller as Known
from service.errors import Absent, Conflict, Forbidden, Gone, Issue, Malformed
from service.notes import attestation, oversight, states
from service.notes.author import Author, Program, named
from service.records.document import parse
from service.review.requests import json_of
from service.vocabulary import Action, ResourceId, Role
from service.web import Body, Caller, Gate

router = APIRouter(prefix="/supervise", tags=["supervise"])
WAITING = [("code", "urn:peernotes:task|co-sign"), ("status", "requested"), ("_count", "200")]
LONGEST_QUESTION = 2000


@router.get("/queue")
def queue(caller: Caller, access: Gate) -> Response:
    """Notes that wait for this supervisor, the earliest due first, with their text."""
    with access.permit(Action.SEARCH, caller, type="Task") as act:
        _demand_supervisor(act)
        found = [row for task in _waiting(act) if (row := _row(act, task))]
    found.sort(key=lambda row: datetime.fromisoformat(row["due"]))
    return json_of({"waiting": found})


def _waiting(act: Act) -> Iterator[dict[str, Any]]:
    """All of them, page by page: what lies beyond the first must not wait for ever."""
    asked = WAITING
    while asked:
        page = act.search(act.asked("Task", asked))
        yield from (parse(stored.body) for stored in page.stored)
        asked = [("_page", page.next)] if page.next else []


def _row(act: Act, task: dict[str, Any]) -> dict[str, Any] | None:
    """None for a Task that is not ours, or whose note this supervisor may not see."""
    note_id, participant = named(task, "focus", "DocumentReference"), named(task, "for", "Patient")
    due = task.get("restriction", {}).get("period", {}).get("end")
    if note_id is None or participant is None or due is None:
        return None
    try:
        stored = act.records.read("DocumentReference", note_id)
    except (Absent, Gone):
        return None
    attachment = parse(stored.body)["content"][0]["attachment"]
    return {
        "note": note_id,
        "version": stored.version,
        "task": task["id"],
        "participant": participant,
        "author": named(task, "requester", "Practitioner"),
        "due": due,
        "text": base64.b64decode(attachment.get("data", "")).decode(errors="replace"),
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
    return json_of({"note": id_, "version": written.stored.version, "state": "co-signed"})


@router.post("/notes/{id_}/return")
def return_note(request: Request, id_: str, caller: Caller, body: Body, access: Gate) -> Response:
    """Back to its author with a question; the note stays signed and readable."""
    question = _question(body)
    with access.permit(Action.UPDATE, caller, type="DocumentReference", id=id_) as act:
        supervisor = _supervisor(act, request)
        act.records.read("DocumentReference", ResourceId(id_))
        waiting = [each for each in _open_tasks(act, id_) if each[0]["status"] == "requested"]
        if not waiting:
            raise Conflict("This note is not waiting for a co-signature.")
        for task, version in waiting:
            back = oversight.returned(
                task, supervisor.practitioner, supervisor.recorded(), question
            )
            act.update(back, if_match=version)
    return json_of({"note": id_, "state": "returned"})


def _demand_supervisor(act: Act) -> Known:
    if act.caller.role is not Role.SUPERVISOR:
        raise Forbidden("This is the supervisor's door.")
    return act.caller


def _supervisor(act: Act, request: Request) -> Author:
    caller = _demand_supervisor(act)
    if caller.practitioner is None or caller.organisation is None:
        raise Forbidden("Only a supervisor of a program co-signs or returns a note.")
    return Author(
        practitioner=caller.practitioner,
        program=Program(caller.organisation, request.app.state.settings.sensitivities),
        device=ResourceId(caller.token),
        operation=ResourceId(act.id),
        operation_digest="",
        received=act.at,
    )


def _open_tasks(act: Act, note: str) -> list[tuple[dict[str, Any], int]]:
    asked = act.asked("Task", oversight.open_for(note))
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
