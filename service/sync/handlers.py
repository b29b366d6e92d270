"""What each operation type does, inside its own permitted act: notes decides, the act stores."""

from collections.abc import Callable
from typing import Any

from service.access.act import Act
from service.notes import amendment, compose, session, states
from service.notes.author import Author
from service.records.document import parse
from service.sync.operation import Operation
from service.vocabulary import ResourceId

Handler = Callable[[Act, Operation, Author], int]
"""Returns the version of the operation's entity."""


def _current(act: Act, type_: str, id_: ResourceId) -> tuple[dict[str, Any], int]:
    stored = act.records.read(type_, id_)
    return parse(stored.body), stored.version


def sign_session(act: Act, operation: Operation, author: Author) -> int:
    """session.sign: Encounter, documents, Provenance, Tasks and goal progress, one commit."""
    signed = session.read_session(
        ResourceId(operation.entity.id), operation.occurred, operation.payload
    )
    goals = [(_current(act, "Goal", work.id), work.progress) for work in signed.goals]
    words = tuple(compose.goal_words(goal) for (goal, _), _ in goals)
    act.records.read("Patient", signed.participant)  # on the caseload, or nothing is written
    for record in compose.new_records(signed, author, words):
        act.create(record, id=ResourceId(record["id"]))
    for (goal, version), progress in goals:
        changed = compose.progressed(goal, progress, signed.participant)
        if changed is not None:
            act.update(changed, if_match=version)
    return 1


def append_note(act: Act, operation: Operation, author: Author) -> int:
    addition = amendment.read_addition(ResourceId(operation.entity.id), operation.payload)
    note, _ = _current(act, "DocumentReference", addition.note)
    for record in amendment.appended(addition, note, author):
        act.create(record, id=ResourceId(record["id"]))
    return 1


def amend_note(act: Act, operation: Operation, author: Author) -> int:
    addition = amendment.read_addition(ResourceId(operation.entity.id), operation.payload)
    note, version = _current(act, "DocumentReference", addition.note)
    old, records = amendment.amended(addition, note, author)
    for record in records:
        act.create(record, id=ResourceId(record["id"]))
    act.update(old, if_match=operation.base_version or version)
    return 1


def note_in_error(act: Act, operation: Operation, author: Author) -> int:
    note, version = _current(act, "DocumentReference", amendment.read_error(operation.payload))
    written = act.update(
        states.enter_in_error(note, author.practitioner),
        if_match=operation.base_version or version,
    )
    return written.stored.version


def log_attempt(act: Act, operation: Operation, author: Author) -> int:
    attempt = amendment.read_attempt(ResourceId(operation.entity.id), operation.payload)
    act.records.read("Patient", attempt.participant)
    record = amendment.attempted(attempt, author)
    return act.create(record, id=attempt.id).stored.version


HANDLERS: dict[str, tuple[str, Handler]] = {
    "session.sign": ("Encounter", sign_session),
    "note.append": ("DocumentReference", append_note),
    "note.amend": ("DocumentReference", amend_note),
    "note.error": ("DocumentReference", note_in_error),
    "attempt.log": ("Communication", log_attempt),
}
"""Operation type: the entity's resource type, and what is done."""
