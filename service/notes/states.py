"""A note's states: signed, co-signed, amended, entered in error. Nothing is deleted, and the text
that was signed never changes (domain reference, section 6).
"""

from enum import StrEnum
from typing import Any

from service.errors import Conflict, Forbidden, Invalid
from service.notes.author import private_label, reference
from service.vocabulary import ResourceId


class NoteState(StrEnum):
    """A draft lives on the tablet only; the server knows a note from its signing on."""

    SIGNED = "signed"  # docStatus preliminary: a co-sign is due
    FINAL = "final"  # co-signed, or none was due; docStatus amended if it replaces another
    SUPERSEDED = "superseded"  # an amendment took its place
    IN_ERROR = "entered-in-error"


def state_of(note: dict[str, Any]) -> NoteState:
    match note.get("status"), note.get("docStatus"):
        case "entered-in-error", _:
            return NoteState.IN_ERROR
        case "superseded", _:
            return NoteState.SUPERSEDED
        case _, "preliminary":
            return NoteState.SIGNED
        case _:
            return NoteState.FINAL


def co_sign(note: dict[str, Any], supervisor: ResourceId) -> dict[str, Any]:
    """Final, with the supervisor as authenticator. Raises Conflict, or Forbidden for own work."""
    if state_of(note) is not NoteState.SIGNED:
        raise Conflict("This note is not waiting for a co-signature.")
    if reference("Practitioner", supervisor) in note.get("author", []):
        raise Forbidden("Nobody co-signs their own note.")
    return note | {
        "docStatus": settled_status(note),
        "authenticator": reference("Practitioner", supervisor),
    }


def settled_status(note: dict[str, Any]) -> str:
    """The docStatus of a note that no longer waits: `amended` where it took another's place."""
    replaces = any(each.get("code") == "replaces" for each in note.get("relatesTo", []))
    return "amended" if replaces else "final"


def supersede(note: dict[str, Any], author: ResourceId) -> dict[str, Any]:
    """The old note of an amendment: superseded, its text untouched."""
    _demand_own(note, author)
    if state_of(note) not in (NoteState.SIGNED, NoteState.FINAL):
        raise Conflict("Only a note in force can be amended.")
    return note | {"status": "superseded"}


def enter_in_error(note: dict[str, Any], author: ResourceId) -> dict[str, Any]:
    _demand_own(note, author)
    if state_of(note) is NoteState.IN_ERROR:
        raise Conflict("This note was entered in error before.")
    return note | {"status": "entered-in-error", "docStatus": "entered-in-error"}


def in_force_for_the_team(note: dict[str, Any]) -> bool:
    """Signed or final, and no passage of the two alone: what keeps its Encounter standing."""
    private = private_label() in note.get("meta", {}).get("security", [])
    return not private and state_of(note) in (NoteState.SIGNED, NoteState.FINAL)


def demand_text_unchanged(before: dict[str, Any], after: dict[str, Any]) -> None:
    """What was signed stays: content, author, subject, date and encounter of a stored note.

    Every update of a DocumentReference passes here, from whichever door. Raises Invalid.
    """
    for element in ("content", "author", "subject", "date", "type", "context"):
        if before.get(element) != after.get(element):
            raise Invalid("A signed note does not change: append to it or amend it.")
    if state_of(before) is NoteState.IN_ERROR and state_of(after) is not NoteState.IN_ERROR:
        raise Invalid("A note entered in error does not come back: write a new one.")


def _demand_own(note: dict[str, Any], author: ResourceId) -> None:
    if reference("Practitioner", author) not in note.get("author", []):
        raise Forbidden("Only its author amends a note.")
