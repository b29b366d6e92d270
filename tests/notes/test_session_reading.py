"""Reading a session: what must be there, and every fault with its path and without its value."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import Invalid, Issue
from service.notes import amendment
from service.notes.session import read_session
from service.vocabulary import Audience, ResourceId
from tests.notes.sessions import (
    D1,
    D2,
    MARIA,
    OCCURRED,
    PAYLOAD,
    E,
    G,
    occurrences,
    payload,
    payloads,
)

SECRET = "zebra-4711"


def faults(given: dict[str, Any], occurred: dict[str, Any] = OCCURRED) -> dict[str, str]:
    """Path to code; nothing if the session can be signed."""
    issues: tuple[Issue, ...] = ()
    try:
        read_session(ResourceId(E), occurred, given)
    except Invalid as error:
        issues = error.issues
    found = {issue.expression or "": issue.code for issue in issues}
    assert len(found) == len(issues), "a fault is said once"
    assert SECRET not in repr(issues)
    return found


def test_the_worked_example_can_be_signed() -> None:
    assert faults(payload()) == {}


@pytest.mark.parametrize(
    "name",
    ["participant", "modality", "place", "service", "sentence", "agreement", "passages",
     "signed_at"],
)  # fmt: skip
def test_every_required_field_is_missed_by_name(name: str) -> None:
    assert faults(payload(**{name: None})).pop(f"payload.{name}") == "required"


@pytest.mark.parametrize("name", ["did", "response"])
def test_what_was_done_and_the_response_are_asked_for(name: str) -> None:
    assert f"payload.{name}" in faults(payload(**{name: None}))
    assert faults(payload(**{name: {"chips": [], "text": ""}})) == {
        f"payload.{name}.text": "required"
    }


@pytest.mark.parametrize("name", ["start", "end", "tz"])
def test_when_it_was_is_asked_for(name: str) -> None:
    occurred = {key: value for key, value in OCCURRED.items() if key != name}
    assert faults(payload(), occurred) == {f"occurred.{name}": "required"}


WRONG: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "a mood of six": ({"mood": 6}, {"payload.mood": "value"}),
    "a mood of true": ({"mood": True}, {"payload.mood": "value"}),
    "a mood in words": ({"mood": SECRET}, {"payload.mood": "value"}),
    "a participant by name": ({"participant": SECRET}, {"payload.participant": "required"}),
    "an id in capitals": (
        {"participant": MARIA.replace("3", "A").upper()}, {"payload.participant": "required"},
    ),
    "an unknown place": ({"place": SECRET}, {"payload.place": "required"}),
    "a place that is a list": ({"place": [SECRET]}, {"payload.place": "required"}),
    "no goal and no reason": ({"goals": []}, {"payload.goals": "required"}),
    "a goal twice": ({"goals": [{"id": G}, {"id": G}]}, {"payload.goals": "unique"}),
    "a goal with an unknown progress": (
        {"goals": [{"id": G, "progress": SECRET}]}, {"payload.goals[0].progress": "required"},
    ),
    "a goal without an id": (
        {"goals": [{"id": G}, {"progress": "improving"}]}, {"payload.goals[1].id": "required"},
    ),
    "goals that are no list": ({"goals": SECRET}, {"payload.goals": "required"}),
    "a chip that is a number": (
        {"did": {"chips": ["Listened", 7], "text": ""}}, {"payload.did.chips[1]": "required"},
    ),
    "a chip too long": (
        {"did": {"chips": [SECRET * 20], "text": "x"}}, {"payload.did.chips[0]": "too_long"},
    ),
    "too many chips": (
        {"did": {"chips": ["x"] * 13, "text": "x"}}, {"payload.did.chips": "required"},
    ),
    "a control character": ({"sentence": SECRET + "\x07"}, {"payload.sentence": "value"}),
    "half a surrogate pair": ({"sentence": SECRET + "\ud800"}, {"payload.sentence": "value"}),
    "a sentence of blanks": ({"sentence": "  \n"}, {"payload.sentence": "required"}),
    "a sentence too long": ({"sentence": "é" * 1001}, {"payload.sentence": "too_long"}),
    "a next step without words": (
        {"next_step": {"date": "2026-03-16"}}, {"payload.next_step.text": "required"},
    ),
    "a next step on no day": (
        {"next_step": {"text": "x", "date": "2026-02-30"}}, {"payload.next_step.date": "value"},
    ),
    "a next step on a number": (
        {"next_step": {"text": "x", "date": 20260316}}, {"payload.next_step.date": "value"},
    ),
    "not shown, and no reason": (
        {"agreement": "not_shown"}, {"payload.agreement_reason": "required"},
    ),
    "signed before its end": (
        {"signed_at": "2026-03-12T14:30:59-04:00"}, {"payload.signed_at": "after_end"},
    ),
    "signed without an offset": (
        {"signed_at": "2026-03-12T14:33:00"}, {"payload.signed_at": "required"},
    ),
    "signed in week notation": (
        {"signed_at": "2026-W11-4T14:33:00Z"}, {"payload.signed_at": "required"},
    ),
    "signed in an impossible zone": (
        {"signed_at": "2026-03-12T14:33:00+23:59"}, {"payload.signed_at": "required"},
    ),
    "a field nobody knows": ({"next_stpe": {"text": SECRET}}, {"payload": "structure"}),
    "a field nobody knows, within": (
        {"goals": [{"id": G, "note": SECRET}]}, {"payload.goals[0]": "structure"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_fault_has_its_path_and_no_value(case: str) -> None:
    changed, expected = WRONG[case]
    assert faults(payload(**changed)) == expected


def passages(*audiences: str) -> list[dict[str, str]]:
    ids = (D1, D2, G)
    return [
        {"id": ids[number], "audience": each, "text": "x"} for number, each in enumerate(audiences)
    ]


@pytest.mark.parametrize("audiences", [["private"], ["team", "team"]])
def test_one_passage_and_only_one_is_for_the_team(audiences: list[str]) -> None:
    assert faults(payload(passages=passages(*audiences))) == {"payload.passages": "one_team"}


def test_every_passage_has_an_id_of_its_own() -> None:
    twice = [{"id": D1, "audience": each, "text": "x"} for each in ("team", "private")]
    assert faults(payload(passages=twice)) == {"payload.passages": "unique"}
    same = [{"id": E, "audience": "team", "text": "x"}]
    assert faults(payload(passages=same)) == {"payload.passages": "unique"}


def test_the_teams_passage_may_be_empty_and_a_private_one_may_not() -> None:
    empty = passages("team", "private")
    for each in empty:
        each["text"] = ""
    assert faults(payload(passages=empty)) == {"payload.passages[1].text": "required"}


def test_the_end_is_after_the_start() -> None:
    turned = OCCURRED | {"start": OCCURRED["end"], "end": OCCURRED["start"]}
    assert faults(payload(), turned) == {"occurred.end": "after_start"}
    long = OCCURRED | {"start": "2026-03-10T14:00:00-04:00"}
    assert faults(payload(), long) == {"occurred.end": "after_start"}


def test_all_faults_are_said_at_once() -> None:
    found = faults({"goals": [], "mood": 9}, {})
    assert {"payload.participant", "payload.mood", "payload.did", "occurred.start"} <= found.keys()
    assert len(found) > 12


def test_minutes_are_the_stopwatchs_or_else_the_clocks() -> None:
    def minutes(**changed: object) -> int:
        occurred = OCCURRED | changed
        return read_session(ResourceId(E), occurred, payload()).occurred.minutes

    assert minutes() == 31
    assert minutes(timer_s=1800) == 30
    assert minutes(timer_s=None) == 31
    assert minutes(timer_s=0) == 1
    assert minutes(timer_s=None, start="2026-03-11T14:31:00-04:00") == 24 * 60


@given(payloads(), occurrences())
def test_any_payload_of_the_right_shape_can_be_read(
    given: dict[str, Any], occurred: dict[str, Any]
) -> None:
    session = read_session(ResourceId(E), occurred, given)
    assert session.team.audience is Audience.TEAM
    assert len(session.passages) == len(given["passages"])


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=50)
@given(st.data())
def test_junk_anywhere_is_a_fault_and_never_an_error(data: st.DataObject) -> None:
    given = deepcopy(PAYLOAD)
    for name in data.draw(st.lists(st.sampled_from(sorted(PAYLOAD)), min_size=1, max_size=3)):
        given[name] = data.draw(junk)
    faults(given)


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ({}, {"payload.note", "payload.text", "payload.signed_at"}),
        ({"note": D1, "text": " ", "signed_at": "2026-03-13T09:00:00Z"}, {"payload.text"}),
        ({"note": D1, "text": "x", "signed_at": "now"}, {"payload.signed_at"}),
        ({"note": D1, "text": "x", "signed_at": "2026-03-13T09:00:00Z", "a": 1}, {"payload"}),
    ],
)
def test_an_addition_names_note_text_and_time(given: dict[str, Any], paths: set[str]) -> None:
    with pytest.raises(Invalid) as caught:
        amendment.read_addition(ResourceId(D2), given)
    assert {issue.expression for issue in caught.value.issues} == paths


@pytest.mark.parametrize("given", [{}, {"note": D2}, {"note": D1, "why": "x"}])
def test_an_error_names_the_note_that_is_its_entity(given: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        amendment.read_error(ResourceId(D1), given)
    assert amendment.read_error(ResourceId(D1), {"note": D1}) == D1


def test_an_attempt_names_whom_how_when_and_what_came_of_it() -> None:
    with pytest.raises(Invalid) as caught:
        amendment.read_attempt(ResourceId(E), {})
    assert {issue.expression for issue in caught.value.issues} == {
        "payload.participant", "payload.outcome", "payload.medium", "payload.at",
    }  # fmt: skip
