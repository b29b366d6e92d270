"""Versions over HTTP: no update is lost, every version stays, pages repeat nothing."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from house import Service
from participants import Participant, arrive, log
from participants import patient as person

from service.cli.demo_data import PROGRAM
from service.cli.people import Ehr, fresh
from service.vocabulary import Relation


@pytest.fixture
def ehr(service: Service) -> Ehr:
    return service.system(PROGRAM, relation=Relation.INSIDE)


@pytest.fixture
def who(service: Service) -> Participant:
    return arrive(service, name="Version")


def goal(who: Participant, text: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Goal",
        "lifecycleStatus": "active",
        "description": {"text": text},
        "subject": {"reference": f"Patient/{who.id}"},
    } | more


def test_a_version_is_replaced_only_by_who_names_it(
    service: Service, ehr: Ehr, who: Participant
) -> None:
    path = f"/fhir/Patient/{who.id}"
    first = service.ask(ehr, "GET", path)
    assert first.headers["etag"] == 'W/"1"'
    changed = person(who, "Changed")
    stale = service.ask(ehr, "PUT", path, changed, if_match='W/"7"')
    assert stale.status_code == 412
    assert stale.json()["issue"][0]["code"] == "conflict"
    assert service.ask(ehr, "PUT", path, changed, if_match='W/"x"').status_code == 400
    second = service.ask(ehr, "PUT", path, changed, if_match='W/"1"')
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    again = service.ask(ehr, "PUT", path, changed, if_match='W/"1"')
    assert (again.status_code, again.headers["etag"]) == (200, 'W/"2"'), "a replay answers alike"
    lost = service.ask(ehr, "PUT", path, person(who, "Lost"), if_match='W/"1"')
    assert lost.status_code == 412


def test_where_a_version_must_be_named_silence_is_refused(
    service: Service, ehr: Ehr, who: Participant
) -> None:
    team = service.ask(ehr, "GET", f"/fhir/CareTeam/{who.care_team}")
    changed = team.json() | {"name": "Another name"}
    silent = service.ask(ehr, "PUT", f"/fhir/CareTeam/{who.care_team}", changed)
    assert silent.status_code == 400
    named = service.ask(
        ehr, "PUT", f"/fhir/CareTeam/{who.care_team}", changed, if_match=team.headers["etag"]
    )
    assert named.status_code == 200


def test_of_racing_clients_one_wins_and_nothing_is_lost(
    service: Service, ehr: Ehr, who: Participant
) -> None:
    path = f"/fhir/Patient/{who.id}"
    won: list[tuple[int, str]] = []

    def race(runner: int) -> None:
        for lap in range(12):
            tag = service.ask(ehr, "GET", path).headers["etag"]
            name = f"Runner{runner}x{lap}"
            answer = service.ask(ehr, "PUT", path, person(who, name), if_match=tag)
            assert answer.status_code in (200, 412), answer.text
            if answer.status_code == 200:
                won.append((int(answer.json()["meta"]["versionId"]), name))

    runners = [threading.Thread(target=race, args=(number,)) for number in range(2)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert len({version for version, _ in won}) == len(won), "a version was given out twice"
    for version, name in won:
        kept = service.ask(ehr, "GET", f"{path}/_history/{version}").json()
        assert kept["name"][0]["family"] == name
    assert service.ask(ehr, "GET", path).headers["etag"] == f'W/"{len(won) + 1}"'


def test_history_and_vread_show_every_version_newest_first(
    service: Service, ehr: Ehr, who: Participant
) -> None:
    path = f"/fhir/Patient/{who.id}"
    for number in (1, 2, 3):
        body = person(who, f"Name{number}")
        answer = service.ask(ehr, "PUT", path, body, if_match=f'W/"{number}"')
        assert answer.status_code == 200
    bundle = service.ask(ehr, "GET", f"{path}/_history").json()
    assert bundle["type"] == "history"
    assert [each["response"]["etag"] for each in bundle["entry"]] == [
        f'W/"{version}"' for version in (4, 3, 2, 1)
    ]
    seen: list[str] = []
    link: str | None = f"{path}/_history?_count=3"
    while link:
        page = service.ask(ehr, "GET", link).json()
        seen += [each["resource"]["meta"]["versionId"] for each in page["entry"]]
        link = _next(page)
    assert seen == ["4", "3", "2", "1"]
    old = service.ask(ehr, "GET", f"{path}/_history/2")
    assert (old.status_code, old.headers["etag"]) == (200, 'W/"2"')
    assert old.json()["name"][0]["family"] == "Name1"
    for missing in ("9", "0", "999999999"):
        assert service.ask(ehr, "GET", f"{path}/_history/{missing}").status_code == 404


def test_an_unmodified_record_answers_304_and_still_only_to_who_sees_it(
    service: Service, ehr: Ehr, who: Participant
) -> None:
    path = f"/fhir/Patient/{who.id}"
    known = service.ask(ehr, "GET", path, if_none_match='W/"1"')
    assert (known.status_code, known.content) == (304, b"")
    assert service.ask(ehr, "GET", path, if_none_match='W/"2"').status_code == 200
    head = service.ask(ehr, "HEAD", path)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", 'W/"1"')
    stranger = service.authorized()
    assert service.ask(stranger, "GET", path, if_none_match='W/"1"').status_code == 404


def test_a_create_answers_as_prefer_says(service: Service, ehr: Ehr, who: Participant) -> None:
    def make(**headers: str) -> Any:
        return service.ask(ehr, "POST", "/fhir/Goal", goal(who, "To sleep"), **headers)

    full = make()
    assert full.status_code == 201
    created = full.json()
    where = f"{service.settings.base_url}/fhir/Goal/{created['id']}/_history/1"
    assert (full.headers["location"], full.headers["etag"]) == (where, 'W/"1"')
    assert full.headers["last-modified"].endswith("GMT")
    minimal = make(prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (201, b"")
    outcome = make(prefer="return=OperationOutcome").json()
    assert (outcome["resourceType"], outcome["issue"][0]["severity"]) == (
        "OperationOutcome", "information",
    )  # fmt: skip
    own = fresh()
    put = service.ask(ehr, "PUT", f"/fhir/Goal/{own}", goal(who, "To rest", id=own))
    assert put.status_code == 201
    replay = service.ask(ehr, "PUT", f"/fhir/Goal/{own}", goal(who, "To rest", id=own))
    assert (replay.status_code, replay.headers["etag"]) == (200, 'W/"1"')


def test_a_search_is_the_same_by_get_and_by_post(service: Service, ehr: Ehr) -> None:
    who = arrive(service, name="Searched")
    dana = service.signed_in("dana")
    for hours in range(3):
        log(dana, who, ended=timedelta(hours=1 + hours))
    query = f"patient={who.id}&_sort=-date&_count=2"
    got = service.ask(ehr, "GET", f"/fhir/Encounter?{query}")
    posted = service.ask(
        ehr, "POST", "/fhir/Encounter/_search", query.encode(),
        content_type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert got.status_code == posted.status_code == 200
    assert _without_links(got.json()) == _without_links(posted.json())


def test_pages_repeat_nothing_and_miss_nothing(service: Service, ehr: Ehr) -> None:
    who = arrive(service, name="Paged")
    dana = service.signed_in("dana")
    logged = [
        log(dana, who, ended=timedelta(hours=1 + number // 2)).encounter for number in range(7)
    ]
    seen: list[str] = []
    link: str | None = f"/fhir/Encounter?patient={who.id}&_count=2"
    while link:
        page = service.ask(ehr, "GET", link).json()
        assert len(page.get("entry", [])) <= 2
        seen += [each["resource"]["id"] for each in page.get("entry", [])]
        link = _next(page)
        assert link is None or who.id not in link, "a page link names no participant"
    assert sorted(seen) == sorted(logged)


def test_a_page_link_is_good_for_its_caller_alone(service: Service, ehr: Ehr) -> None:
    who = arrive(service, name="Linked", consented=True)
    dana = service.signed_in("dana")
    for hours in range(3):
        log(dana, who, ended=timedelta(hours=1 + hours))
    page = service.ask(ehr, "GET", f"/fhir/Encounter?patient={who.id}&_count=1").json()
    link = _next(page)
    assert link is not None
    for thief in (dana, service.authorized()):
        assert service.ask(thief, "GET", link).status_code == 400
    assert service.ask(ehr, "GET", link[:-8] + "AAAAAAAA").status_code == 400
    assert service.ask(ehr, "GET", link).status_code == 200


def test_an_unknown_parameter_is_refused_or_left_out_aloud(
    service: Service, ehr: Ehr, who: Participant
) -> None:
    path = f"/fhir/Goal?patient={who.id}&shoe-size=44"
    assert service.ask(ehr, "POST", "/fhir/Goal", goal(who, "To walk")).status_code == 201
    strict = service.ask(ehr, "GET", path)
    assert strict.status_code == 400
    assert strict.json()["resourceType"] == "OperationOutcome"
    lenient = service.ask(ehr, "GET", path, prefer="handling=lenient").json()
    modes = [each["search"]["mode"] for each in lenient["entry"]]
    assert modes == ["match", "outcome"]
    this = next(link["url"] for link in lenient["link"] if link["relation"] == "self")
    assert "shoe-size" not in this


def _next(bundle: dict[str, Any]) -> str | None:
    return next((link["url"] for link in bundle["link"] if link["relation"] == "next"), None)


def _without_links(bundle: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in bundle.items() if name != "link"}
