"""42 CFR Part 2 over HTTP: disclosure and notice, emergency, accounting (part2_cases.json).

Each test builds the situation that a published case gives, and asserts what it expects. The last
one sees to it that no case of these three groups is passed over in silence.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.app import clock
from service.cli.demo_data import CLINIC, CONSENT, MARIA, PROGRAM, consent
from service.cli.people import fresh
from service.consent.notice import (
    STATEMENT_1,
    STATEMENT_2,
    Holder,
    Obligations,
    Redisclosure,
    redisclosure,
)
from service.vocabulary import Purpose
from tests.demo_house import TERRENCE, Town
from tests.review.acts import accounting, declare, entries, pull
from tests.sync.operations import one, session

Json = dict[str, Any]
TESTED: dict[str, Callable[..., None]] = {}
NOT_OURS = {
    "P2-A02": "the service makes no disclosures on paper, and records none",
    "P2-A03": "the service makes no disclosures on paper, and records none",
}


def case(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def remember(test: Callable[..., None]) -> Callable[..., None]:
        TESTED.update(dict.fromkeys(names, test))
        return test

    return remember


@pytest.fixture(autouse=True)
def signed(town: Town) -> None:
    """Maria has a session to disclose."""
    if not town["dana"].get("/fhir/Encounter", params={"patient": MARIA}).json().get("entry"):
        assert one(town["dana"], session(town["dana"]))["status"] == "applied"


@pytest.fixture
def revoked(town: Town) -> Iterator[None]:
    set_consent(town, "inactive")
    yield
    set_consent(town, "active")


def set_consent(town: Town, status: str) -> None:
    maria = town["maria"]
    held = maria.get(f"/fhir/Consent/{CONSENT}")
    if held.json()["status"] != status:
        answer = maria.put(
            f"/fhir/Consent/{CONSENT}", consent(status), if_match=held.headers["etag"]
        )
        assert answer.status_code == 200, answer.text


def marks(bundle: Json) -> set[str]:
    return {label["code"] for label in bundle["meta"]["security"]}


def emergency(town: Town, name: str, type_: str = "Encounter", patient: str = MARIA) -> Any:
    headers = {"x-purpose-of-use": "BTG"}
    return town.get(name, f"/fhir/{type_}", params={"patient": patient}, headers=headers)


@case("P2-D01")
def test_a_disclosure_by_consent_carries_notice_scope_and_marks(town: Town) -> None:
    bundle = pull(town).json()
    outcome = next(
        each["resource"] for each in bundle["entry"] if each["search"]["mode"] == "outcome"
    )
    said = [issue["diagnostics"] for issue in outcome["issue"]]
    assert said[0] == STATEMENT_1
    assert f"Consent/{CONSENT}" in said[1]
    assert "TREAT" in said[1]
    assert marks(bundle) >= {"42CFRPart2", "NORDSCLCD", "RedisclosureProhibitionMark"}
    one_ = next(each for each in bundle["entry"] if each["search"]["mode"] == "match")
    single = town.get("clinic", f"/fhir/Encounter/{one_['resource']['id']}")
    assert single.headers["part2-notice"] == STATEMENT_2
    assert f"Consent/{CONSENT}" in single.headers["part2-consent"]
    ours = redisclosure(Holder.COVERED_ENTITY, Purpose.TREAT)
    assert ours is Redisclosure.HIPAA_EXCEPT_PROCEEDINGS


@case("P2-D03", "P2-D04")
@pytest.mark.parametrize("broken", [{"notice": "Altered."}, {"notice": ""}, {"explanation": ""}])
def test_without_its_very_words_and_its_scope_nothing_is_disclosed(broken: Json) -> None:
    whole = Obligations(STATEMENT_1, "Scope.", (), Redisclosure.AS_CONSENTED)
    with pytest.raises(ValueError, match=r"2\.32"):
        replace(whole, **broken)


@case("P2-D08", "P2-D09")
def test_what_a_recipient_may_do_next_follows_from_what_it_is() -> None:
    assert redisclosure(Holder.PROGRAM, Purpose.TREAT) is Redisclosure.AS_CONSENTED
    for purpose in (Purpose.HPAYMT, Purpose.HOPERAT):
        assert redisclosure(Holder.LAWFUL_HOLDER, purpose) is Redisclosure.CONTRACTORS


@case("P2-D10")
def test_a_refused_inquiry_answers_as_if_there_were_no_such_patient(
    town: Town, revoked: None
) -> None:
    del revoked
    unknown = fresh()
    for path in (f"/fhir/Patient/{MARIA}", f"/fhir/Patient/{TERRENCE}"):
        hidden = town.get("clinic", path)
        absent = town.get("clinic", f"/fhir/Patient/{unknown}")
        assert (hidden.status_code, hidden.content) == (absent.status_code, absent.content)
        assert hidden.status_code == 404
        shape, other = (dict(each.headers.items()) for each in (hidden, absent))
        assert shape == other
        assert not any(word in hidden.text.lower() for word in ("part 2", "sud", "consent"))
    found, nothing = (pull(town, patient=each) for each in (MARIA, unknown))
    told = [
        json.loads(answer.text.replace(id_, "ID"))
        for answer, id_ in ((found, MARIA), (nothing, unknown))
    ]
    kept = [{k: v for k, v in each.items() if k not in ("id", "timestamp")} for each in told]
    assert kept[0] == kept[1]
    assert "entry" not in kept[0]


@case("P2-E01")
def test_medical_personnel_see_what_they_declared_an_emergency_for(town: Town) -> None:
    assert "entry" not in emergency(town, "doctor", patient=TERRENCE).json()
    assert one(town["dana"], session(town["dana"], TERRENCE))["status"] == "applied"
    assert declare(town, "doctor", TERRENCE).status_code == 200
    opened = emergency(town, "doctor", patient=TERRENCE).json()
    matches = [each for each in opened["entry"] if each["search"]["mode"] == "match"]
    assert {each["resource"]["resourceType"] for each in matches} == {"Encounter"}
    other = emergency(town, "doctor", patient="30000000-0000-4000-8000-000000000004")
    assert "entry" not in other.json(), "the glass was broken for one participant"
    kinds = {each["kind"] for each in entries(town, patient=TERRENCE)}
    assert {"break-glass", "disclosure"} <= kinds


@case("P2-E02")
def test_who_is_not_medical_personnel_breaks_no_glass(town: Town) -> None:
    assert declare(town, "clerk", MARIA).status_code == 403
    assert emergency(town, "clerk").status_code == 403
    for name in ("dana", "sam", "casey", "alex", "maria"):
        assert declare(town, name, MARIA).status_code == 403


@case("P2-E05")
@pytest.mark.parametrize(
    "missing",
    [{"consentCannotBeObtained": False}, {"reason": " "}, {"facility": ""}],
)
def test_where_consent_can_be_obtained_it_is_obtained(town: Town, missing: Json) -> None:
    refused = declare(town, "doctor", MARIA, **missing)
    nobody = declare(town, "doctor", fresh(), **missing)
    assert refused.status_code == 400
    assert refused.content == nobody.content, "it answers alike whoever it is about"


@case("P2-A04")
def test_refusals_use_inside_and_other_participants_are_in_no_accounting(town: Town) -> None:
    before = [row["entry"] for row in accounting(town)]
    town["dana"].get(f"/fhir/Patient/{MARIA}")
    town.get("clinic", f"/fhir/Patient/{TERRENCE}")
    town["alex"].get(f"/fhir/Patient/{MARIA}")
    set_consent(town, "inactive")
    pull(town)
    set_consent(town, "active")
    assert [row["entry"] for row in accounting(town)] == before
    pull(town)
    for report in ("all", "2.25"):
        told = {row["entry"] for row in accounting(town, report=report)}
        held = {each["id"]: each for each in entries(town, patient=MARIA)}
        assert all(held[each]["kind"] == "disclosure" for each in told)
    others = accounting(town, TERRENCE)
    assert not {row["entry"] for row in others} & {row["entry"] for row in accounting(town)}


@case("P2-A06")
def test_a_shorter_window_is_honoured_and_a_longer_one_refused(town: Town) -> None:
    pull(town)
    pull(town)
    everything = accounting(town, report="2.25")
    assert len(everything) >= 2
    newest = accounting(town, report="2.25", since=everything[-1]["date"])
    assert [row["entry"] for row in newest] == [everything[-1]["entry"]]
    none = accounting(town, report="2.25", until=everything[0]["date"])
    assert none == []
    now = datetime.fromtimestamp(clock() / 1_000_000, UTC)
    for report, years in (("2.25", 3), ("164.528", 6)):
        within = now - timedelta(days=365 * years)
        beyond = now - timedelta(days=365 * years + 5)
        path = f"/review/accounting/{MARIA}"
        for since, status in ((within, 200), (beyond, 400)):
            asked = {"report": report, "since": f"{since:%Y-%m-%d}"}
            assert town["maria"].get(path, params=asked).status_code == status


@case("P2-V24")
def test_a_revoked_consent_opens_nothing_and_what_was_disclosed_stays_told(
    town: Town,
) -> None:
    assert pull(town).json()["entry"]
    before = accounting(town, report="2.25")
    set_consent(town, "inactive")
    try:
        assert "entry" not in pull(town).json()
        assert accounting(town, report="2.25") == before
        assert before[-1]["basis"] == f"consent:{CONSENT}"
        assert before[-1]["recipient"] == f"Organization/{CLINIC}"
    finally:
        set_consent(town, "active")


def test_the_program_itself_is_no_recipient(town: Town) -> None:
    assert all(row["recipient"] != f"Organization/{PROGRAM}" for row in accounting(town))


def test_no_published_case_is_passed_over_in_silence(data: Path) -> None:
    published = json.loads((data / "consent" / "part2_cases.json").read_text())
    wanted = {
        each["id"] for group in ("disclosure", "emergency", "accounting")
        for each in published[group]
    }  # fmt: skip
    assert wanted <= TESTED.keys() | NOT_OURS.keys()
