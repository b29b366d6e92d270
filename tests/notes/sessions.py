"""A session as in the domain reference's worked example, and strategies for any other."""

from copy import deepcopy
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from service.notes import codes
from service.notes.author import Author, Program
from service.vocabulary import Micros, ResourceId

Json = dict[str, Any]

E = "e0000000-0000-4000-8000-000000000001"
D1 = "d0000000-0000-4000-8000-000000000001"
D2 = "d0000000-0000-4000-8000-000000000002"
G = "90000000-0000-4000-8000-000000000001"
MARIA = "30000000-0000-4000-8000-000000000001"
ORDER = "80000000-0000-4000-8000-000000000001"
DANA = ResourceId("20000000-0000-4000-8000-000000000001")
SAM = ResourceId("20000000-0000-4000-8000-000000000002")
PROGRAM = ResourceId("10000000-0000-4000-8000-000000000001")
TABLET = ResourceId("70000000-0000-4000-8000-000000000001")
OPERATION = ResourceId("0195a000-0000-7000-8000-000000000001")
RECEIVED = Micros(1_773_342_600_000_000)

OCCURRED: Json = {
    "start": "2026-03-12T14:00:00-04:00",
    "end": "2026-03-12T14:31:00-04:00",
    "tz": "America/New_York",
    "timer_s": 1860,
}
PAYLOAD: Json = {
    "participant": MARIA,
    "modality": "in_person",
    "place": "site",
    "service": "one_to_one",
    "goals": [{"id": G, "progress": "improving"}],
    "did": {"chips": ["Listened", "Practised a phone call"], "text": "Took turns"},
    "response": {"chips": ["Engaged"], "text": ""},
    "sentence": "Maria rang her sister.",
    "their_words": "I did not think she would pick up.",
    "mood": 4,
    "shared_experience": "family",
    "next_step": {"text": "Meet her sister", "date": "2026-03-16"},
    "agreement": "agreed",
    "passages": [
        {"id": D1, "audience": "team", "text": "Wants a ride on Sunday."},
        {"id": D2, "audience": "private", "text": "She worries about her brother."},
    ],
    "order": ORDER,
    "signed_at": "2026-03-12T14:33:00-04:00",
}
GOAL: Json = {
    "resourceType": "Goal",
    "id": G,
    "lifecycleStatus": "active",
    "description": {"text": "I want to see my sister every week"},
    "subject": {"reference": f"Patient/{MARIA}"},
}


def payload(**changed: Any) -> Json:
    """The worked example, with fields replaced; None leaves one out."""
    made = deepcopy(PAYLOAD) | changed
    return {name: value for name, value in made.items() if value is not None}


def author(practitioner: ResourceId = DANA, operation: ResourceId = OPERATION) -> Author:
    return Author(practitioner, Program(PROGRAM), TABLET, operation, "ab" * 32, RECEIVED)


uuids = st.uuids(version=4).map(str)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=18)
said = texts.filter(str.strip)
offsets = st.sampled_from(["Z", "-04:00", "+05:30", "+14:00", "-13:59"])


@st.composite
def occurrences(draw: st.DrawFn) -> Json:
    day, offset = draw(st.integers(1, 28)), draw(offsets)
    start, minutes = draw(st.integers(0, 22)), draw(st.integers(1, 59))
    return {
        "start": f"2026-02-{day:02}T{start:02}:00:00{offset}",
        "end": f"2026-02-{day:02}T{start:02}:{minutes:02}:00{offset}",
        "tz": "America/New_York",
        "timer_s": draw(st.none() | st.integers(0, 86_400)),
    }


chips = st.builds(
    lambda ticked, text: {"chips": ticked, "text": text}, st.lists(said, max_size=3), said
)


@st.composite
def payloads(draw: st.DrawFn) -> Json:
    """Any payload that may be signed: every optional field there or not."""
    team = {"id": draw(uuids), "audience": "team", "text": draw(texts)}
    private = draw(st.lists(st.fixed_dictionaries(
        {"id": uuids, "audience": st.just("private"), "text": said}), max_size=2))  # fmt: skip
    goals = draw(st.lists(st.fixed_dictionaries(
        {"id": uuids}, optional={"progress": st.sampled_from(sorted(codes.PROGRESS))}),
        max_size=2, unique_by=lambda goal: goal["id"]))  # fmt: skip
    made: Json = {
        "participant": draw(uuids),
        "modality": draw(st.sampled_from(sorted(codes.MODALITIES))),
        "place": draw(st.sampled_from(sorted(codes.PLACES))),
        "service": draw(st.sampled_from(sorted(codes.SERVICES))),
        "goals": goals,
        "no_goal_reason": draw(said),
        "did": draw(chips),
        "response": draw(chips),
        "sentence": draw(said),
        "agreement": draw(st.sampled_from(sorted(codes.AGREEMENTS))),
        "agreement_reason": draw(said),
        "passages": draw(st.permutations([team, *private])),
        "signed_at": "2026-03-12T14:33:00-04:00",
    }
    optional: Json = {
        "location": uuids, "order": uuids, "their_words": said, "mood": st.integers(1, 5),
        "shared_experience": said,
        "next_step": st.fixed_dictionaries({"text": said}, optional={
            "date": st.dates().filter(lambda day: 2000 <= day.year < 2200).map(str)}),
    }  # fmt: skip
    return made | draw(st.fixed_dictionaries({}, optional=optional))


def is_version_5(id_: str) -> bool:
    return UUID(id_).version == 5
