"""What is hidden interferes with nothing: a store answers as its twin that never held it."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
from house import Caller, Service, free_port, furnish, serving, settings_for
from twins import Record, cut, plain, population, seen_by_peer, seen_outside, twin

from service.app import open_house
from service.cli.demo_data import CLINIC
from service.cli.intake import OPERATOR
from service.settings import Settings
from service.vocabulary import Action

REQUESTS = 150
SEED = 20261124
FILTERS = {
    "Encounter": ("status=finished", "status:not=finished", "class=HH,VR", "date=2025",
                  "date=ge2025-06-01", "date=lt2025-03-01", "date:missing=true",
                  "service-provider:missing=false", "patient.family=Baker", "_sort=-date",
                  "_has:DocumentReference:encounter:status=current",
                  "_include=Encounter:patient"),
    "DocumentReference": ("type=11506-3", "date=gt2025-01-01", "encounter.status=finished",
                          "_include=DocumentReference:encounter", "encounter:missing=false",
                          "_include=DocumentReference:patient", "status:not=superseded"),
    "Observation": ("code=a", "code:not=a", "date=le2024-12-31", "encounter.class=AMB",
                    "status=final", "encounter:missing=true"),
    "Goal": ("lifecycle-status=active", "lifecycle-status:not=active"),
    "Patient": ("family=Baker", "name=Ann", "birthdate=lt1975", "gender=unknown",
                "_has:Encounter:patient:status=finished", "family:exact=Dyer"),
    "CareTeam": ("status=active",),
}  # fmt: skip
ALWAYS = ("_count=1", "_count=3", "_total=accurate", "_summary=count", "_sort=_id",
          "_lastUpdated=ge2020", "_security=R", "_security:not=R")  # fmt: skip
SEEN = {"outside": seen_outside, "peer": seen_by_peer}
Twins = tuple[Service, Service]


@contextmanager
def _running(settings: Settings) -> Iterator[Service]:
    yield from serving(settings)


@pytest.fixture(params=["outside", "peer"])
def case(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> Iterator[tuple[Twins, list[Record], str]]:
    """Two houses, alike but for what this caller may not see."""
    settings = settings_for(database, tmp_path / "full")
    furnish(settings)
    records = population(SEED)
    house = open_house(settings)
    with house.access.operate(Action.IMPORT, OPERATOR) as act:
        for record in records:
            act.update(record.body)
    house.close()
    other = twin(settings, tmp_path / "twin", free_port())
    hidden = cut(other, records, SEEN[request.param])
    assert 0 < hidden < len(records)
    with ExitStack() as stack:
        pair = (stack.enter_context(_running(settings)), stack.enter_context(_running(other)))
        yield pair, records, request.param


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    url: str = request.getfixturevalue("postgresql_place")()
    return url


def requests(records: list[Record], dice: random.Random) -> Iterator[tuple[str, str]]:
    """Reads of what is and is not there, and searches put together by chance."""
    for record in dice.sample(records, 40):
        path = f"/fhir/{record.type}/{record.body['id']}"
        yield "GET", path + dice.choice(["", "/_history", "/_history/1", "/_history/2"])
    for _ in range(REQUESTS):
        type_ = dice.choice(list(FILTERS))
        record = dice.choice(records)
        own = "_id" if type_ == "Patient" else "patient"
        parts = [f"{own}={record.who.id}"] if dice.random() < 0.8 else []
        parts += dice.sample(FILTERS[type_], min(len(FILTERS[type_]), dice.randint(0, 2)))
        parts += dice.sample(ALWAYS, dice.randint(0, 2))
        if dice.random() < 0.2:
            parts.append(f"_id={dice.choice(records).body['id']}")
        yield dice.choice(["GET", "GET", "POST"]), f"/fhir/{type_}?{'&'.join(parts)}"


def test_the_full_store_answers_as_the_store_without_what_is_hidden(
    case: tuple[Twins, list[Record], str],
) -> None:
    (full, less), records, kind = case
    callers = tuple(caller_of(service, kind) for service in (full, less))
    assert everything(full, callers[0], records) == {
        each.body["id"] for each in records if SEEN[kind](each) and each.type in FILTERS
    }
    told = 0
    for method, path in requests(records, random.Random(SEED)):  # noqa: S311
        how, asked = method, (path, path)
        for _ in range(3):  # follow the pages
            one = ask(full, callers[0], how, asked[0])
            two = ask(less, callers[1], how, asked[1])
            assert plain(one, full.settings.base_url) == plain(two, less.settings.base_url), path
            assert one.status_code < 500, path
            if one.status_code != 200 or one.json()["resourceType"] != "Bundle":
                break
            told += len(one.json().get("entry", ()))
            asked, how = (next_of(one.json()), next_of(two.json())), "GET"
            if not all(asked):
                break
    assert told > 50, "the answers hold something to compare"


def everything(service: Service, caller: Caller, records: list[Record]) -> set[str]:
    """The ids of all that a caller finds who asks about each participant and type."""
    found: set[str] = set()
    for who in {record.who.id for record in records}:
        for type_ in FILTERS:
            named = "_id" if type_ == "Patient" else "patient"
            answer = ask(service, caller, "GET", f"/fhir/{type_}?{named}={who}&_count=200")
            entries = answer.json().get("entry", [])
            found |= {each["resource"]["id"] for each in entries if "fullUrl" in each}
    return found


def caller_of(service: Service, kind: str) -> Caller:
    if kind == "outside":
        return service.system(CLINIC, scope="system/*.rs")
    return service.signed_in("dana")


def ask(service: Service, caller: Caller, method: str, path: str) -> httpx2.Response:
    if method == "GET":
        return service.ask(caller, "GET", path)
    where, _, query = path.partition("?")
    return service.ask(
        caller, "POST", f"{where}/_search", query.encode(),
        content_type="application/x-www-form-urlencoded",
    )  # fmt: skip


def next_of(bundle: dict[str, list[dict[str, str]]]) -> str:
    return next((link["url"] for link in bundle["link"] if link["relation"] == "next"), "")
