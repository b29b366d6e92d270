"""What each operation type does, inside its own permitted act: notes decides, the act stores."""

from collections.abc import Callable, Iterable
from typing import Any

from service.access.act import Act
from service.errors import Absent, Conflict, Gone, Invalid, Issue
from service.notes import amendment, compose, oversight, session, states
from service.notes.author import Author
from service.records.document import parse
from service.sync.operation import Operation
from service.vocabulary import ResourceId

Handler = Callable[[Act, Operation, Author], int]
"""Returns the version of the operation's entity."""


def sign_session(act: Act, operation: Operation, author: Author) -> int:
    """session.sign: Encounter, documents, Provenance, Tasks and goal progress, one commit."""
    signed = session.read_session(
        ResourceId(operation.entity.id), operation.occurred, operation.payload
    )
    _demand_new(operation)
    act.records.read("Patient", signed.participant)  # on the caseload, or nothing is written
    if signed.location:
        _named(act, "Location", signed.location, "payload.location")
    if signed.order:
        _named(act, "ServiceRequest", signed.order, "payload.order")
    goals = [
        (_named(act, "Goal", work.id, f"payload.goals[{number}].id"), work.progress)
        for number, work in enumerate(signed.goals)
    ]
    words = tuple(compose.goal_words(goal) for (goal, _), _ in goals)
    _create(act, compose.new_records(signed, author, words))
    for (goal, version), progress in goals:
        changed = compose.progressed(goal, progress, signed.participant)
        if changed is not None:
            act.update(changed, if_match=version)
    return 1


def append_note(act: Act, operation: Operation, author: Author) -> int:
    """note.append: an addendum; a note that came back with a question waits again."""
    addition = amendment.read_addition(ResourceId(operation.entity.id), operation.payload)
    _demand_new(operation)
    note, _ = _current(act, "DocumentReference", addition.note)
    _create(act, amendment.appended(addition, note, author))
    for task, version in _open_tasks(act, addition.note):
        if task["status"] == "on-hold":
            act.update(oversight.answered(task, author.recorded()), if_match=version)
    return 1


def amend_note(act: Act, operation: Operation, author: Author) -> int:
    """note.amend: the old note superseded, its Task closed, the new one waits for a co-sign."""
    addition = amendment.read_addition(ResourceId(operation.entity.id), operation.payload)
    note, version = _current(act, "DocumentReference", addition.note)
    old, records = amendment.amended(addition, note, author)
    act.update(old, if_match=_base(operation, version))
    _create(act, records)
    _close_tasks(act, addition.note, "The note was amended.", author)
    return 1


def note_in_error(act: Act, operation: Operation, author: Author) -> int:
    """note.error: the note, its Task, and the Encounter when no other team note tells of it."""
    id_ = amendment.read_error(ResourceId(operation.entity.id), operation.payload)
    note, version = _current(act, "DocumentReference", id_)
    team = states.in_force_for_the_team(note)
    written = act.update(
        states.enter_in_error(note, author.practitioner), if_match=_base(operation, version)
    )
    _close_tasks(act, id_, "The note was entered in error.", author)
    encounter = amendment.encounter_of(note)
    if team and encounter is not None and not _told(act, encounter):
        header, now = _current(act, "Encounter", encounter)
        act.update(header | {"status": "entered-in-error"}, if_match=now)
    return written.stored.version


def log_attempt(act: Act, operation: Operation, author: Author) -> int:
    attempt = amendment.read_attempt(ResourceId(operation.entity.id), operation.payload)
    _demand_new(operation)
    act.records.read("Patient", attempt.participant)
    _create(act, [amendment.attempted(attempt, author)])
    return 1


def _current(act: Act, type_: str, id_: ResourceId) -> tuple[dict[str, Any], int]:
    stored = act.records.read(type_, id_)
    return parse(stored.body), stored.version


def _create(act: Act, records: Iterable[dict[str, Any]]) -> None:
    """Under another op_id the same bytes would be a second signature: only new ids are taken."""
    for record in records:
        if not act.create(record, id=ResourceId(record["id"])).changed:
            raise Conflict("A record of this id exists already.")


def _demand_new(operation: Operation) -> None:
    if operation.base_version is not None:
        text = "This operation makes a record: it has no base version."
        raise Invalid(text, Issue("value", text, "base_version"))


def _base(operation: Operation, version: int) -> int:
    return version if operation.base_version is None else operation.base_version


def _named(act: Act, type_: str, id_: ResourceId, path: str) -> tuple[dict[str, Any], int]:
    """Absent is a fault of the payload here, unlike a participant whom its author cannot see."""
    try:
        return _current(act, type_, id_)
    except (Absent, Gone):
        text = "This names no record that is kept here."
        raise Invalid(text, Issue("not-found", text, path)) from None


def _open_tasks(act: Act, note: ResourceId) -> list[tuple[dict[str, Any], int]]:
    found = act.search(act.asked("Task", oversight.open_for(note))).stored
    return [(parse(stored.body), stored.version) for stored in found]


def _close_tasks(act: Act, note: ResourceId, why: str, author: Author) -> None:
    for task, version in _open_tasks(act, note):
        act.update(oversight.cancelled(task, why, author.recorded()), if_match=version)


def _told(act: Act, encounter: ResourceId) -> bool:
    """Whether a team note in force still tells of this session."""
    asked = act.asked("DocumentReference", [("encounter", encounter), ("_count", "200")])
    return any(
        states.in_force_for_the_team(parse(stored.body)) for stored in act.search(asked).stored
    )


HANDLERS: dict[str, tuple[str, Handler]] = {
    "session.sign": ("Encounter", sign_session),
    "note.append": ("DocumentReference", append_note),
    "note.amend": ("DocumentReference", amend_note),
    "note.error": ("DocumentReference", note_in_error),
    "attempt.log": ("Communication", log_attempt),
}
"""Operation type: the entity's resource type, and what is done."""
