"""Addendum, amendment, entered in error, and the contact that did not come about.

An addendum `appends`, an amendment `replaces` and leaves the old text readable as superseded
(domain reference, sections 4, 6 and 10).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.errors import Invalid, Issue
from service.notes import attestation, codes, oversight, states
from service.notes.author import Author, instant, named, private_label, reference
from service.notes.document import document
from service.notes.fields import Fields
from service.notes.session import LONGEST_PASSAGE, Passage
from service.vocabulary import Audience, ResourceId

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Addition:
    """New text for an existing note: the op's entity is the new document, `note` the old one."""

    id: ResourceId
    note: ResourceId
    text: str
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call or visit that reached nobody, or a no-show: non-billable, no narrative."""

    id: ResourceId
    participant: ResourceId
    outcome: str
    medium: str
    at: datetime


def read_addition(id_: ResourceId, payload: dict[str, Any]) -> Addition:
    issues: list[Issue] = []
    fields = Fields(payload, "payload", issues)
    addition = Addition(
        id_, fields.id("note"), fields.text("text", most=LONGEST_PASSAGE),
        fields.instant("signed_at"),
    )  # fmt: skip
    fields.nothing_else()
    if issues:
        raise Invalid("The addition cannot be signed as it is.", *issues)
    return addition


def read_error(id_: ResourceId, payload: dict[str, Any]) -> ResourceId:
    issues: list[Issue] = []
    fields = Fields(payload, "payload", issues)
    note = fields.id("note")
    fields.nothing_else()
    if not issues and note != id_:
        fields.fault("note", "value", "The note is the operation's entity.")
    if issues:
        raise Invalid("Which note was entered in error is not said.", *issues)
    return note


def read_attempt(id_: ResourceId, payload: dict[str, Any]) -> Attempt:
    issues: list[Issue] = []
    fields = Fields(payload, "payload", issues)
    attempt = Attempt(
        id_, fields.id("participant"), fields.choice("outcome", codes.ATTEMPTS),
        fields.choice("medium", codes.MEDIA), fields.instant("at"),
    )  # fmt: skip
    fields.nothing_else()
    if issues:
        raise Invalid("The attempt cannot be logged as it is.", *issues)
    return attempt


def appended(addition: Addition, note: Resource, author: Author) -> list[Resource]:
    """Records of an addendum; the note itself is untouched. Raises Invalid when it is not live."""
    if states.state_of(note) not in (states.NoteState.SIGNED, states.NoteState.FINAL):
        raise Invalid("Only a note in force takes an addendum.")
    addendum = ("55107-7", "Addendum Document")
    return _added(addition, note, author, relation="appends", kind=addendum)


def amended(addition: Addition, note: Resource, author: Author) -> tuple[Resource, list[Resource]]:
    """The superseded old note, and the records of the one that replaces it."""
    old = states.supersede(note, author.practitioner)
    return old, _added(addition, note, author, relation="replaces")


def _added(
    addition: Addition, note: Resource, author: Author, *, relation: str,
    kind: tuple[str, str] = ("11506-3", "Progress note"),
) -> list[Resource]:  # fmt: skip
    private = private_label() in note.get("meta", {}).get("security", [])
    participant, encounter = _of_session(note)
    passage = Passage(addition.id, Audience.PRIVATE if private else Audience.TEAM, addition.text)
    signed = instant(addition.signed_at)
    added = document(
        passage, author, participant=participant, encounter=encounter, signed=signed,
        text=addition.text, status="preliminary", kind=kind,
    )  # fmt: skip
    added["relatesTo"] = [{"code": relation, "target": reference("DocumentReference", note["id"])}]
    if private:  # nobody co-signs what is between two
        added["docStatus"] = states.settled_status(added)
    labels = [*author.program.labels(), *([private_label()] if private else [])]
    signature = attestation.signed_by_author(
        author, [attestation.versioned("DocumentReference", addition.id, 1)], name="sign",
        labels=labels, signed=signed,
    )  # fmt: skip
    records = [added, signature]
    if not private:
        records.append(
            oversight.cosign_task(author, addition.id, participant, encounter, addition.signed_at)
        )
    return records


def _of_session(note: Resource) -> tuple[ResourceId, ResourceId]:
    participant = named(note, "subject", "Patient")
    encounter = encounter_of(note)
    if participant is None or encounter is None:
        raise Invalid("Only a note of a session is added to from a tablet.")
    return participant, encounter


def encounter_of(note: Resource) -> ResourceId | None:
    """The session that a note tells of; None for a document from elsewhere."""
    sessions = note.get("context", {}).get("encounter", [])
    return named({"session": sessions[0]}, "session", "Encounter") if len(sessions) == 1 else None


def attempted(attempt: Attempt, author: Author) -> Resource:
    """A Communication: `completed` when somebody was reached, else `not-done` with the reason."""
    reached = attempt.outcome == "reached"
    resource: Resource = {
        "resourceType": "Communication",
        "id": attempt.id,
        "meta": {"security": author.program.labels()},
        "status": "completed" if reached else "not-done",
        "medium": [codes.concept(codes.COMMUNICATION_MEDIUM, codes.MEDIA[attempt.medium])],
        "subject": reference("Patient", attempt.participant),
        "sent": instant(attempt.at),
        "recipient": [reference("Patient", attempt.participant)],
        "sender": reference("Practitioner", author.practitioner),
    }
    if not reached:
        resource["statusReason"] = codes.concept(
            codes.ATTEMPT_OUTCOME, attempt.outcome, codes.ATTEMPTS[attempt.outcome]
        )
    return resource
