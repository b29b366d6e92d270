"""Passages to DocumentReferences: one document an audience (design D9), GIRP for the team.

GIRP: goal, intervention (the peer's own act), response, plan; "in their words" stands apart.
"""

import base64
from typing import Any

from service.notes import codes
from service.notes.author import Author, instant, private_label, reference
from service.notes.session import Passage, Session
from service.vocabulary import Audience


def narrative(session: Session, goals: tuple[str, ...]) -> str:
    """The team's note as text. `goals` are the goals' own words, in the session's order."""
    worked_on = "; ".join(goals) or f"None yet: {session.no_goal_reason}"
    parts = [
        ("Goal", worked_on),
        ("What we did", session.did.said()),
        ("Response", session.response.said()),
        ("This time", session.sentence),
        ("In their words", f"“{session.their_words}”" if session.their_words else ""),
        ("Mood", f"{session.mood} of 5" if session.mood else ""),
        ("Shared lived experience about", session.shared_experience or ""),
        ("Next step", _next_step(session)),
        ("Read together", _agreement(session)),
        ("Also", session.team.text),
    ]
    return "\n".join(f"{title}: {text}" for title, text in parts if text) + "\n"


def _next_step(session: Session) -> str:
    step = session.next_step
    return "" if step is None else f"{step.text} ({step.date})" if step.date else step.text


def _agreement(session: Session) -> str:
    words = {
        "agreed": "agreed",
        "agreed_with_comment": "agreed, with a comment",
        "disagreed": "disagreed",
        "not_shown": "not shown",
    }[session.agreement]
    reason = session.agreement_reason
    return f"{words} ({reason})" if reason else words


def session_document(
    session: Session, passage: Passage, author: Author, *, text: str, cosign: bool
) -> dict[str, Any]:
    """A passage of a session; the team's is preliminary while a co-sign is due."""
    resource = document(
        passage, author, participant=session.participant, encounter=session.id,
        signed=instant(session.signed_at), text=text,
        status="preliminary" if cosign and passage.audience is Audience.TEAM else "final",
    )  # fmt: skip
    resource["context"]["period"] = {
        "start": instant(session.occurred.start),
        "end": instant(session.occurred.end),
    }
    if session.goals and passage.audience is Audience.TEAM:
        resource["context"]["related"] = [reference("Goal", goal.id) for goal in session.goals]
    return resource


def document(
    passage: Passage, author: Author, *, participant: str, encounter: str, signed: str, text: str,
    status: str, kind: tuple[str, str] = ("11506-3", "Progress note"),
) -> dict[str, Any]:  # fmt: skip
    private = passage.audience is Audience.PRIVATE
    labels = [*author.program.labels(), *([private_label()] if private else [])]
    return {
        "resourceType": "DocumentReference",
        "id": passage.id,
        "meta": {"profile": [codes.US_CORE_DOCUMENT], "security": labels},
        "identifier": [codes.uuid_identifier(passage.id)],
        "status": "current",
        "docStatus": status,
        "type": codes.concept(codes.LOINC, *kind),
        "category": [codes.concept(codes.CLINICAL_NOTE, "clinical-note", "Clinical Note")],
        "subject": reference("Patient", participant),
        "date": signed,
        "author": [reference("Practitioner", author.practitioner)],
        "custodian": reference("Organization", author.program.organisation),
        "securityLabel": [{"coding": [label]} for label in labels],
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain; charset=utf-8",
                    "language": "en",
                    "data": base64.b64encode(text.encode()).decode(),
                    "creation": signed,
                },
                "format": {
                    "system": "http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode",
                    "code": "urn:ihe:iti:xds:2017:mimeTypeSufficient",
                    "display": "mimeType Sufficient",
                },
            }
        ],
        "context": {"encounter": [reference("Encounter", encounter)]},
    }
