"""Supervision and follow-up as Tasks (domain reference, sections 6 and 10)."""

from datetime import datetime, timedelta
from typing import Any

from service.notes import codes
from service.notes.author import Author, instant, plain, reference
from service.notes.session import NextStep
from service.vocabulary import ResourceId

COSIGN_WITHIN = timedelta(hours=72)
OPEN = [
    ("code", f"{codes.TASK_CODE}|co-sign"),
    ("status", "requested,on-hold"),
    ("_count", "200"),
]
DISPLAYS = {
    "co-sign": "Co-sign a note",
    "next-step": "Next step agreed with the participant",
}


def cosign_task(
    author: Author, note: ResourceId, participant: ResourceId, encounter: ResourceId,
    signed: datetime,
) -> dict[str, Any]:  # fmt: skip
    """Open until a supervisor co-signs or returns the note; due 72 hours after signing."""
    resource = _task(author, "co-sign", participant, encounter)
    resource["focus"] = reference("DocumentReference", note)
    resource["authoredOn"] = instant(signed)
    resource["restriction"] = {"period": {"end": instant(signed + COSIGN_WITHIN)}}
    return resource


def next_step_task(
    author: Author, step: NextStep, participant: ResourceId, encounter: ResourceId, signed: datetime
) -> dict[str, Any]:
    resource = _task(author, "next-step", participant, encounter)
    resource["description"] = plain(step.text)
    resource["authoredOn"] = instant(signed)
    resource["owner"] = reference("Practitioner", author.practitioner)
    resource["restriction"] = {"period": {"end": step.date}}
    return resource


def open_for(note: str) -> list[tuple[str, str]]:
    """The search for whatever Task still asks for a co-signature of this note."""
    return [*OPEN, ("focus", f"DocumentReference/{note}")]


def cancelled(task: dict[str, Any], why: str, at: str) -> dict[str, Any]:
    """The note was amended or entered in error: nobody need co-sign it any more."""
    return task | {
        "status": "cancelled",
        "statusReason": {"text": why},
        "lastModified": at,
    }


def answered(task: dict[str, Any], at: str) -> dict[str, Any]:
    """A returned note got its addendum: it waits for the supervisor again."""
    kept = {name: value for name, value in task.items() if name not in ("owner", "businessStatus")}
    return kept | {"status": "requested", "lastModified": at}


def completed(task: dict[str, Any], supervisor: ResourceId, at: str) -> dict[str, Any]:
    return task | {
        "status": "completed",
        "owner": reference("Practitioner", supervisor),
        "lastModified": at,
    }


def returned(
    task: dict[str, Any], supervisor: ResourceId, at: str, question: str
) -> dict[str, Any]:
    """Back to the author with a question, answered by an addendum or an amendment."""
    note = {
        "authorReference": reference("Practitioner", supervisor),
        "time": at,
        "text": plain(question),
    }
    return task | {
        "status": "on-hold",
        "businessStatus": {"text": "returned"},
        "owner": task["requester"],
        "lastModified": at,
        "note": [*task.get("note", []), note],
    }


def _task(author: Author, code: str, participant: str, encounter: str) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "id": author.derived(f"task-{code}"),
        "meta": {"security": author.program.labels()},
        "status": "requested",
        "intent": "order",
        "code": codes.concept(codes.TASK_CODE, code, DISPLAYS[code]),
        "for": reference("Patient", participant),
        "encounter": reference("Encounter", encounter),
        "requester": reference("Practitioner", author.practitioner),
    }
