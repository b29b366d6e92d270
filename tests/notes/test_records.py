"""A session's records: the worked example element by element, US Core, and validity of any."""

import base64
from typing import Any

import pytest
from hypothesis import given, settings

from service.errors import Conflict, Forbidden, Invalid
from service.notes import amendment, attestation, compose, oversight, states
from service.notes.session import read_session
from service.records.labels import effective
from service.records.validate import validate
from service.vocabulary import AUDIENCE_LABEL, Audience, Confidentiality, Family, ResourceId
from tests.notes import us_core
from tests.notes.sessions import (
    D1,
    D2,
    DANA,
    GOAL,
    MARIA,
    OCCURRED,
    ORDER,
    PROGRAM,
    SAM,
    E,
    G,
    author,
    is_version_5,
    occurrences,
    payload,
    payloads,
)

Json = dict[str, Any]
GOAL_WORDS = "I want to see my sister every week"


def records(**changed: Any) -> list[Json]:
    session = read_session(ResourceId(E), OCCURRED, payload(**changed))
    return compose.new_records(session, author(), (GOAL_WORDS,))


def by_type(found: list[Json], type_: str) -> list[Json]:
    return [record for record in found if record["resourceType"] == type_]


def text_of(note: Json) -> str:
    return base64.b64decode(note["content"][0]["attachment"]["data"]).decode()


def codes_in(concept: Json) -> list[str]:
    return [coding["code"] for coding in concept["coding"]]


def security(record: Json) -> set[str]:
    return {label["code"] for label in record["meta"]["security"]}


def test_a_session_makes_its_eight_records() -> None:
    made = [record["resourceType"] for record in records()]
    assert made == [
        "Encounter", "DocumentReference", "DocumentReference", "Provenance", "Provenance",
        "Provenance", "Task", "Task",
    ]  # fmt: skip


def test_the_encounter_is_the_worked_examples() -> None:
    (header,) = by_type(records(), "Encounter")
    assert header["id"] == E
    assert header["status"] == "finished"
    assert header["class"]["code"] == "AMB"
    assert codes_in(header["type"][0]) == ["308335008", "H0038"]
    assert header["type"][0]["text"] == "Peer support session"
    assert codes_in(header["serviceType"]) == ["553"]
    assert header["subject"] == {"reference": f"Patient/{MARIA}"}
    assert codes_in(header["participant"][0]["type"][0]) == ["PPRF"]
    assert header["participant"][0]["individual"] == {"reference": f"Practitioner/{DANA}"}
    assert header["period"] == {
        "start": "2026-03-12T14:00:00-04:00", "end": "2026-03-12T14:31:00-04:00",
    }  # fmt: skip
    assert (header["length"]["value"], header["length"]["code"]) == (31, "min")
    assert header["serviceProvider"] == {"reference": f"Organization/{PROGRAM}"}
    assert header["basedOn"] == [{"reference": f"ServiceRequest/{ORDER}"}]
    assert security(header) == {"R", "42CFRPart2", "SUD"}
    assert "text" not in header
    assert "reasonCode" not in header


@pytest.mark.parametrize(
    ("modality", "place", "code"),
    [("in_person", "site", "AMB"), ("in_person", "home", "HH"), ("in_person", "street", "FLD"),
     ("in_person", "community", "FLD"), ("in_person", "emergency_department", "EMER"),
     ("phone", "home", "VR"), ("video", "site", "VR"), ("online_text", "other", "VR")],
)  # fmt: skip
def test_the_class_says_where(modality: str, place: str, code: str) -> None:
    (header,) = by_type(records(modality=modality, place=place), "Encounter")
    assert header["class"]["code"] == code
    assert codes_in(header["type"][0])[0] == ("185317003" if modality == "phone" else "308335008")


def test_the_teams_document_is_the_worked_examples() -> None:
    team, _ = by_type(records(), "DocumentReference")
    assert team["id"] == D1
    assert (team["status"], team["docStatus"]) == ("current", "preliminary")
    assert codes_in(team["type"]) == ["11506-3"]
    assert codes_in(team["category"][0]) == ["clinical-note"]
    assert team["date"] == "2026-03-12T14:33:00-04:00"
    assert team["author"] == [{"reference": f"Practitioner/{DANA}"}]
    assert team["custodian"] == {"reference": f"Organization/{PROGRAM}"}
    assert team["context"]["encounter"] == [{"reference": f"Encounter/{E}"}]
    assert team["context"]["related"] == [{"reference": f"Goal/{G}"}]
    assert team["context"]["period"]["end"] == "2026-03-12T14:31:00-04:00"
    assert team["content"][0]["attachment"]["contentType"].startswith("text/plain")
    assert "authenticator" not in team


def test_the_narrative_is_girp_in_order() -> None:
    team, _ = by_type(records(), "DocumentReference")
    assert text_of(team).splitlines() == [
        f"Goal: {GOAL_WORDS}",
        "What we did: Listened; Practised a phone call; Took turns",
        "Response: Engaged",
        "This time: Maria rang her sister.",
        "In their words: “I did not think she would pick up.”",
        "Mood: 4 of 5",
        "Shared lived experience about: family",
        "Next step: Meet her sister (2026-03-16)",
        "Read together: agreed",
        "Also: Wants a ride on Sunday.",
    ]


def test_without_a_goal_the_narrative_says_why() -> None:
    session = read_session(
        ResourceId(E), OCCURRED,
        payload(goals=[], no_goal_reason="We met today", their_words=None, mood=None,
                next_step={"text": "Call", "date": None}, agreement="not_shown",
                agreement_reason="She had to leave"),
    )  # fmt: skip
    team, _ = by_type(compose.new_records(session, author(), ()), "DocumentReference")
    lines = text_of(team).splitlines()
    assert lines[0] == "Goal: None yet: We met today"
    assert "Next step: Call" in lines
    assert "Read together: not shown (She had to leave)" in lines
    assert not any(line.startswith(("In their words", "Mood")) for line in lines)
    assert "related" not in team["context"]


def test_the_private_passage_is_a_document_of_its_own_and_named_by_no_other() -> None:
    made = records()
    team, private = by_type(made, "DocumentReference")
    assert private["id"] == D2
    assert private["docStatus"] == "final"
    assert text_of(private) == "She worries about her brother."
    assert {"system": AUDIENCE_LABEL, "code": "private"} in private["meta"]["security"]
    assert "related" not in private["context"]
    assert effective(private).audience is Audience.PRIVATE
    assert effective(team).audience is Audience.TEAM
    naming = [record for record in made if D2 in str(record) and record is not private]
    assert [record["resourceType"] for record in naming] == ["Provenance"]
    assert {"system": AUDIENCE_LABEL, "code": "private"} in naming[0]["meta"]["security"]
    assert "brother" not in "".join(text_of(each) for each in (team,))


def test_one_provenance_an_audience_and_the_participants_agreement() -> None:
    team, private, agreed = by_type(records(), "Provenance")
    assert team["target"] == [
        {"reference": f"Encounter/{E}/_history/1"},
        {"reference": f"DocumentReference/{D1}/_history/1"},
    ]
    assert private["target"] == [{"reference": f"DocumentReference/{D2}/_history/1"}]
    assert agreed["target"] == [{"reference": f"DocumentReference/{D1}/_history/1"}]
    for signed in (team, private):
        assert [codes_in(each["type"]) for each in signed["agent"]] == [["author"], ["transmitter"]]
        assert signed["agent"][0]["who"] == {"reference": f"Practitioner/{DANA}"}
        assert signed["agent"][1]["who"]["type"] == "Device"
        assert all(
            each["onBehalfOf"] == {"reference": f"Organization/{PROGRAM}"}
            for each in signed["agent"]
        )
        assert signed["signature"][0]["type"][0]["code"] == "1.2.840.10065.1.12.1.1"
        assert signed["occurredPeriod"]["start"] == "2026-03-12T14:00:00-04:00"
        assert signed["recorded"] == "2026-03-12T19:10:00+00:00"
        assert signed["entity"][0]["role"] == "source"
        assert "data" not in signed["signature"][0]
    assert codes_in(agreed["agent"][0]["type"]) == ["attester"]
    assert agreed["agent"][0]["who"] == {"reference": f"Patient/{MARIA}"}
    assert agreed["signature"][0]["type"][0]["code"] == "1.2.840.10065.1.12.1.3"


@pytest.mark.parametrize("agreement", ["disagreed", "not_shown"])
def test_who_did_not_agree_signs_nothing(agreement: str) -> None:
    made = records(agreement=agreement, agreement_reason="Too long")
    assert len(by_type(made, "Provenance")) == 2


def test_the_tasks_are_due() -> None:
    cosign, step = by_type(records(), "Task")
    assert codes_in(cosign["code"]) == ["co-sign"]
    assert cosign["focus"] == {"reference": f"DocumentReference/{D1}"}
    assert cosign["restriction"]["period"]["end"] == "2026-03-15T14:33:00-04:00"
    assert (cosign["status"], cosign["intent"]) == ("requested", "order")
    assert codes_in(step["code"]) == ["next-step"]
    assert step["description"] == "Meet her sister"
    assert step["restriction"]["period"]["end"] == "2026-03-16"
    assert step["owner"] == {"reference": f"Practitioner/{DANA}"}


def test_blanks_that_fhir_does_not_know_do_not_cost_the_session() -> None:
    step = {"text": "Ring\u00a0her\u2028on\u3000Sunday", "date": "2026-03-16"}
    for record in records(next_step=step):
        validate(record)
    assert by_type(records(next_step=step), "Task")[1]["description"] == "Ring her on Sunday"


def test_a_goal_moves_only_by_what_was_said_of_it() -> None:
    moved = compose.progressed(GOAL, "improving", MARIA)
    assert moved is not None
    assert codes_in(moved["achievementStatus"]) == ["improving"]
    assert {**moved, "achievementStatus": None} == {**GOAL, "achievementStatus": None}
    validate(moved)
    assert compose.progressed(GOAL, None, MARIA) is None
    with pytest.raises(Invalid):
        compose.progressed(GOAL, "improving", D1)


def test_derived_ids_are_the_same_on_replay_and_others_for_another_operation() -> None:
    session = read_session(ResourceId(E), OCCURRED, payload())
    first, again = (compose.new_records(session, author(), ("x",)) for _ in range(2))
    assert first == again
    other = compose.new_records(
        session, author(operation=ResourceId("0195a000-0000-7000-8000-000000000002")), ("x",)
    )
    ours = {E, D1, D2}
    mine, theirs = ({record["id"] for record in made} - ours for made in (first, other))
    assert len(mine) == len(theirs) == 5
    assert not mine & theirs
    assert all(map(is_version_5, mine | theirs))


def test_every_record_of_the_worked_example_is_valid_and_conforms_to_what_it_claims() -> None:
    for record in records():
        validate(record)
        us_core.demand(record)
        labels = effective(record)
        assert labels.conf is Confidentiality.R
        assert labels.families == Family.SUD


@settings(max_examples=60)
@given(payloads(), occurrences())
def test_any_session_makes_records_that_are_valid(payload: Json, occurred: Json) -> None:
    session = read_session(ResourceId(E), occurred, payload)
    words = tuple(GOAL_WORDS for _ in session.goals)
    made = compose.new_records(session, author(), words)
    assert len({record["id"] for record in made}) == len(made)
    for record in made:
        validate(record)
        us_core.demand(record)


SIGNED = "2026-03-13T09:00:00-04:00"


def stored(*, private: bool = False) -> Json:
    return by_type(records(), "DocumentReference")[1 if private else 0]


def addition(text: str = "He called back.") -> amendment.Addition:
    given = {"note": D1, "text": text, "signed_at": SIGNED}
    return amendment.read_addition(ResourceId(G), given)


def test_an_addendum_appends_and_waits_for_its_own_co_signature() -> None:
    made = amendment.appended(addition(), stored(), author())
    document, signature, task = made
    assert document["relatesTo"] == [
        {"code": "appends", "target": {"reference": f"DocumentReference/{D1}"}}
    ]
    assert codes_in(document["type"]) == ["55107-7"]
    assert document["docStatus"] == "preliminary"
    assert document["context"]["encounter"] == [{"reference": f"Encounter/{E}"}]
    assert text_of(document) == "He called back."
    assert signature["target"] == [{"reference": f"DocumentReference/{G}/_history/1"}]
    assert task["focus"] == {"reference": f"DocumentReference/{G}"}
    assert states.co_sign(document, SAM)["docStatus"] == "final"
    for record in made:
        validate(record)
        us_core.demand(record)


def test_an_amendment_supersedes_and_is_amended_once_co_signed() -> None:
    note = stored()
    old, made = amendment.amended(addition(), note, author())
    assert old == note | {"status": "superseded"}
    assert made[0]["relatesTo"][0]["code"] == "replaces"
    assert made[0]["docStatus"] == "preliminary"
    assert states.co_sign(made[0], SAM)["docStatus"] == "amended"
    for record in (old, *made):
        validate(record)
        us_core.demand(record)


@pytest.mark.parametrize("change", [amendment.appended, amendment.amended])
def test_what_is_added_to_a_private_note_is_private_and_nobody_co_signs_it(change: Any) -> None:
    made = change(addition(), stored(private=True), author())
    made = made if isinstance(made, list) else made[1]
    assert [record["resourceType"] for record in made] == ["DocumentReference", "Provenance"]
    assert all(effective(record).audience is Audience.PRIVATE for record in made)
    assert made[0]["docStatus"] in ("final", "amended")


def test_a_note_without_a_session_is_not_added_to() -> None:
    for broken in ({}, {"encounter": []}, {"encounter": [{"reference": "https://x.example/E/1"}]}):
        with pytest.raises(Invalid):
            amendment.appended(addition(), stored() | {"context": broken}, author())


def test_only_its_author_amends_and_nothing_is_added_to_what_is_not_in_force() -> None:
    with pytest.raises(Forbidden):
        amendment.amended(addition(), stored(), author(practitioner=SAM))
    for status in ("superseded", "entered-in-error"):
        with pytest.raises(Invalid):
            amendment.appended(addition(), stored() | {"status": status}, author())
        with pytest.raises(Conflict):
            amendment.amended(addition(), stored() | {"status": status}, author())


@pytest.mark.parametrize("outcome", ["reached", "left_message", "no_show", "cancelled_by_us"])
@pytest.mark.parametrize("medium", ["phone", "video", "in_person", "text"])
def test_an_attempt_is_a_valid_communication(outcome: str, medium: str) -> None:
    given = {"participant": MARIA, "outcome": outcome, "medium": medium, "at": SIGNED}
    made = amendment.attempted(amendment.read_attempt(ResourceId(E), given), author())
    validate(made)
    reached = outcome == "reached"
    assert made["status"] == ("completed" if reached else "not-done")
    assert ("statusReason" in made) is not reached
    assert "payload" not in made


def test_what_a_supervisor_does_is_valid() -> None:
    task = by_type(records(), "Task")[0]
    sam = author(practitioner=SAM)
    back = oversight.returned(task, SAM, SIGNED, "Which sister?")
    assert (back["status"], back["owner"]) == ("on-hold", task["requester"])
    assert back["note"][0]["text"] == "Which sister?"
    again = oversight.answered(back, SIGNED)
    assert again["status"] == "requested"
    assert "owner" not in again
    for each in (
        back, again, oversight.completed(task, SAM, SIGNED),
        oversight.cancelled(task, "The note was amended.", SIGNED),
    ):  # fmt: skip
        validate(each)
    labels = sam.program.labels()
    target = attestation.versioned("DocumentReference", D1, 2)
    for signature in (
        attestation.co_signed(sam, [target], labels=labels, signed=SIGNED),
        attestation.released(sam, [target], labels=labels, operation=ResourceId(E)),
    ):
        validate(signature)
        us_core.demand(signature)
    validate(states.co_sign(stored(), SAM))
    validate(states.enter_in_error(stored(), DANA))
