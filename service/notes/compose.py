"""A signed session becomes its records, in the order in which they refer to each other.

Encounter, one DocumentReference a passage, one Provenance an audience, the participant's
agreement, goals' progress, and Tasks: one act, one commit (domain reference, section 11).
"""

from typing import Any

from service.errors import Invalid, Issue
from service.notes import attestation, codes, oversight
from service.notes.author import Author, instant, named, private_label
from service.notes.document import narrative, session_document
from service.notes.encounter import encounter
from service.notes.session import Session
from service.vocabulary import Audience

Resource = dict[str, Any]


def new_records(session: Session, author: Author, goals: tuple[str, ...]) -> list[Resource]:
    """Everything a session creates; `goals` are the goals' own words in the session's order."""
    records = [encounter(session, author)]
    for passage in session.passages:
        team = passage.audience is Audience.TEAM
        text = narrative(session, goals) if team else passage.text
        records.append(session_document(session, passage, author, text=text, cosign=True))
    records += _attestations(session, author)
    signed = session.signed_at
    records.append(
        oversight.cosign_task(author, session.team.id, session.participant, session.id, signed)
    )
    if session.next_step and session.next_step.date:
        records.append(
            oversight.next_step_task(
                author, session.next_step, session.participant, session.id, signed
            )
        )
    return records


def _attestations(session: Session, author: Author) -> list[Resource]:
    labels = author.program.labels()
    signed = instant(session.signed_at)
    period = {"start": instant(session.occurred.start), "end": instant(session.occurred.end)}
    team = attestation.versioned("DocumentReference", session.team.id, 1)
    header = attestation.versioned("Encounter", session.id, 1)
    found = [
        attestation.signed_by_author(
            author, [header, team], name="sign-team", labels=labels, signed=signed, period=period
        )
    ]
    for number, passage in enumerate(session.passages):
        if passage.audience is Audience.PRIVATE:
            target = attestation.versioned("DocumentReference", passage.id, 1)
            found.append(
                attestation.signed_by_author(
                    author, [target], name=f"sign-private-{number}",
                    labels=[*labels, private_label()], signed=signed, period=period,
                )
            )  # fmt: skip
    if session.agreement in ("agreed", "agreed_with_comment"):
        found.append(
            attestation.agreed_by_participant(
                author, [team], session.participant, labels=labels, signed=signed
            )
        )
    return found


def progressed(goal: Resource, progress: str | None, participant: str) -> Resource | None:
    """The goal's next version, or None when nothing was said about it. Raises Invalid."""
    if named(goal, "subject", "Patient") != participant:
        text = "A goal here is another participant's."
        raise Invalid(text, Issue("value", text, "payload.goals"))
    if progress is None:
        return None
    return goal | {"achievementStatus": codes.concept(codes.ACHIEVEMENT, progress)}


def goal_words(goal: Resource) -> str:
    description = goal.get("description", {})
    displays = [coding.get("display") for coding in description.get("coding", [])]
    return str(next(filter(None, [description.get("text"), *displays]), "A goal without words"))
