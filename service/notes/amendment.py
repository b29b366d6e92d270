"""Addendum, amendment, entered in error, and the contact that did not come about.

An addendum `appends`, an amendment `replaces` and leaves the old text readable as superseded
(domain reference, sections 4, 6 and 10).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.errors import Invalid, Issue
from service.notes import attestation, codes, oversight, states
from service.notes.author import Author, instant, private_label, reference
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
    if issues:
        raise Invalid("The addition cannot be signed as it is.", *issues)
    return addition


def read_error(payload: dict[str, Any]) -> ResourceId:
    issues: list[Issue] = []
    note = Fields(payload, "payload", issues).id("note")
    if issues:
        raise Invalid("Which note was entered in error is not said.", *issues)
    return note


def read_attempt(id_: ResourceId, payload: dict[str, Any]) -> Attempt:
    issues: list[Issue] = []
    fields = Fields(payload, "payload", issues)
    attempt = Attempt(
        id_, fields.id("participant"), fields.choice("outcome", codes.ATTEMPTS),
        fields.choice("medium", ("phone", "video", "in_person", "text")), fields.instant("at"),
    )  # fmt: skip
    if issues:
        raise Invalid("The attempt cannot be logged as it is.", *issues)
    return attempt


def appended(addition: Addition, note: Resource, author: Author) -> list[Resource]:
    """Records of an addendum; the note itself is untouched. Raises Invalid when it is not live."""
    if states.state_of(note) not in (states.NoteState.SIGNED, states.NoteState.FINAL):
        raise Invalid("Only a note in force takes an addendum.")
    addendum = ("55107-7", "Addendum Document")
    return _added(addition, note, author, relation="appends", status="final", kind=addendum)


def amended(addition: Addition, note: Resource, author: Author) -> tuple[Resource, list[Resource]]:
    """The superseded old note, and the records of the one that replaces it."""
    old = states.supersede(note, author.practitioner)
    return old, _added(addition, note, author, relation="replaces", status="amended")


def _added(
    addition: Addition, note: Resource, author: Author, *, relation: str, status: str,
    kind: tuple[str, str] = ("11506-3", "Progress note"),
) -> list[Resource]:  # fmt: skip
    private = private_label() in note.get("meta", {}).get("security", [])
    participant = note["subject"]["reference"].removeprefix("Patient/")
    encounter = note["context"]["encounter"][0]["reference"].removeprefix("Encounter/")
    passage = Passage(addition.id, Audience.PRIVATE if private else Audience.TEAM, addition.text)
    signed = instant(addition.signed_at)
    added = document(
        passage, author, participant=participant, encounter=encounter, signed=signed,
        text=addition.text, status=status, kind=kind,
    )  # fmt: skip
    added["relatesTo"] = [{"code": relation, "target": reference("DocumentReference", note["id"])}]
    labels = [*author.program.labels(), *([private_label()] if private else [])]
    signature = attestation.signed_by_author(
        author, [attestation.versioned("DocumentReference", addition.id, 1)], name="sign",
        labels=labels, signed=signed,
    )  # fmt: skip
    records = [added, signature]
    if not private:
        records.append(
            oversight.cosign_task(
                author, addition.id, ResourceId(participant), ResourceId(encounter),
                addition.signed_at,
            )
        )  # fmt: skip
    return records


def attempted(attempt: Attempt, author: Author) -> Resource:
    """A Communication: `completed` when somebody was reached, else `not-done` with the reason."""
    reached = attempt.outcome == "reached"
    medium = {"phone": "PHONE", "video": "VIDEOCONF", "in_person": "FACE", "text": "SMSWRIT"}
    resource: Resource = {
        "resourceType": "Communication",
        "id": attempt.id,
        "meta": {"security": author.program.labels()},
        "status": "completed" if reached else "not-done",
        "medium": [codes.concept(codes.COMMUNICATION_MEDIUM, medium[attempt.medium])],
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
