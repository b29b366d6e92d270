"""A session as the tablet logs it: what the peer typed and tapped, before any FHIR.

The field table is in the domain reference, section 2; docs/sync.md shows the payload. Reading one
collects every fault, each with its path, so that the tablet can open the form at the field.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service.errors import Invalid, Issue
from service.notes import codes
from service.notes.fields import NEVER, Fields
from service.vocabulary import Audience, ResourceId

LONGEST_PASSAGE = 32 * 1024
LONGEST_SESSION = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Passage:
    """One document: a text, and for whom it was written."""

    id: ResourceId
    audience: Audience
    text: str


@dataclass(frozen=True, slots=True)
class Chips:
    """Ticked words and a sentence of one's own."""

    ticked: tuple[str, ...]
    text: str

    def said(self) -> str:
        return "; ".join([*self.ticked, *([self.text] if self.text else [])])


@dataclass(frozen=True, slots=True)
class GoalWork:
    id: ResourceId
    progress: str | None


@dataclass(frozen=True, slots=True)
class NextStep:
    text: str
    date: str | None


@dataclass(frozen=True, slots=True)
class Occurred:
    """When it was: two instants, end after start, and the stopwatch in seconds if it ran."""

    start: datetime
    end: datetime
    zone: str
    timer: int | None

    @property
    def minutes(self) -> int:
        span = (self.end - self.start).total_seconds()
        return max(1, round((span if self.timer is None else self.timer) / 60))


@dataclass(frozen=True, slots=True)
class Session:
    """An individual session, complete enough to be signed."""

    id: ResourceId
    participant: ResourceId
    occurred: Occurred
    signed_at: datetime
    modality: str
    place: str
    location: ResourceId | None
    service: str
    goals: tuple[GoalWork, ...]
    no_goal_reason: str | None
    did: Chips
    response: Chips
    sentence: str
    their_words: str | None
    mood: int | None
    shared_experience: str | None
    next_step: NextStep | None
    agreement: str
    agreement_reason: str | None
    passages: tuple[Passage, ...]
    order: ResourceId | None

    @property
    def team(self) -> Passage:
        return next(each for each in self.passages if each.audience is Audience.TEAM)


def read_occurred(fields: Fields) -> Occurred:
    start, end = fields.instant("start"), fields.instant("end")
    if NEVER not in (start, end) and not timedelta() < end - start <= LONGEST_SESSION:
        fields.fault("end", "after_start", "The end is after the start, within a day.")
    occurred = Occurred(start, end, fields.text("tz", most=64), fields.number("timer_s", 0, 86_400))
    fields.nothing_else()
    return occurred


def read_session(id_: ResourceId, occurred: dict[str, Any], payload: dict[str, Any]) -> Session:
    """Raises Invalid with an Issue per fault; `expression` is the path within the operation."""
    issues: list[Issue] = []
    fields = Fields(payload, "payload", issues)
    when = read_occurred(Fields(occurred, "occurred", issues))
    session = Session(
        id=id_,
        participant=fields.id("participant"),
        occurred=when,
        signed_at=fields.instant("signed_at"),
        modality=fields.choice("modality", codes.MODALITIES),
        place=fields.choice("place", codes.PLACES),
        location=fields.optional_id("location"),
        service=fields.choice("service", codes.SERVICES),
        goals=tuple(_goal(each) for each in fields.list("goals", most=20)),
        no_goal_reason=fields.optional_text("no_goal_reason", most=500),
        did=_chips(fields.child("did")),
        response=_chips(fields.child("response")),
        sentence=fields.text("sentence", most=2000),
        their_words=fields.optional_text("their_words", most=4000),
        mood=fields.number("mood", 1, 5),
        shared_experience=fields.optional_text("shared_experience", most=80),
        next_step=_next_step(fields.optional_child("next_step")),
        agreement=fields.choice("agreement", codes.AGREEMENTS),
        agreement_reason=fields.optional_text("agreement_reason", most=500),
        passages=tuple(_passage(each) for each in fields.list("passages", most=5, least=1)),
        order=fields.optional_id("order"),
    )
    fields.nothing_else()
    _rules(session, fields)
    if issues:
        raise Invalid("The session cannot be signed as it is.", *issues)
    return session


def _rules(session: Session, fields: Fields) -> None:
    if not session.goals and not session.no_goal_reason:
        fields.fault("goals", "required", "Choose a goal, or say why there is none yet.")
    if session.agreement == "not_shown" and not session.agreement_reason:
        fields.fault("agreement_reason", "required", "Say why the note was not shown.")
    audiences = [passage.audience for passage in session.passages]
    if audiences.count(Audience.TEAM) != 1:
        fields.fault("passages", "one_team", "One passage, and only one, is for the team.")
    if len({passage.id for passage in session.passages} | {session.id}) <= len(session.passages):
        fields.fault("passages", "unique", "Every passage has an id of its own.")
    if len({goal.id for goal in session.goals}) < len(session.goals):
        fields.fault("goals", "unique", "Every goal is named once.")
    if session.signed_at is not NEVER and session.signed_at < session.occurred.end:
        fields.fault("signed_at", "after_end", "A session is signed after it has ended.")


def _goal(fields: Fields) -> GoalWork:
    work = GoalWork(fields.id("id"), fields.optional_choice("progress", codes.PROGRESS))
    fields.nothing_else()
    return work


def _chips(fields: Fields) -> Chips:
    ticked = tuple(fields.texts("chips", most=12, longest=80))
    text = fields.optional_text("text", most=4000) or ""
    fields.nothing_else()
    if not ticked and not text:
        fields.fault("text", "required", "Tick a word or write one.")
    return Chips(ticked, text)


def _next_step(fields: Fields | None) -> NextStep | None:
    if fields is None:
        return None
    step = NextStep(fields.text("text", most=500), fields.optional_date("date"))
    fields.nothing_else()
    return step


def _passage(fields: Fields) -> Passage:
    audience = fields.choice("audience", codes.AUDIENCES)
    text = fields.text("text", most=LONGEST_PASSAGE, empty=audience == "team")
    passage = Passage(fields.id("id"), Audience(audience or "private"), text)
    fields.nothing_else()
    return passage
