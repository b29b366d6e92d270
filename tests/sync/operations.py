"""Operations as a tablet seals them, and what the house holds afterwards."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from service.app import clock
from service.cli.demo_data import GOAL, MARIA
from service.cli.people import Person, fresh
from tests.demo_house import Town

Json = dict[str, Any]
TABLET = "70000000-0000-4000-8000-000000000001"
OTHER_TABLET = "70000000-0000-4000-8000-000000000002"


def occurred(minutes_ago: int = 40) -> Json:
    start = _now() - timedelta(minutes=minutes_ago)
    return {
        "start": start.isoformat(timespec="seconds"),
        "end": (start + timedelta(minutes=30)).isoformat(timespec="seconds"),
        "tz": "America/New_York",
        "timer_s": 1800,
    }


def now(**ahead: float) -> str:
    return (_now() + timedelta(**ahead)).isoformat(timespec="seconds")


def _now() -> datetime:
    return datetime.fromtimestamp(clock() / 1_000_000, UTC)


def session_payload(participant: str = MARIA, **changed: Any) -> Json:
    made: Json = {
        "participant": participant,
        "modality": "in_person",
        "place": "site",
        "service": "one_to_one",
        "goals": [{"id": GOAL, "progress": "improving"}] if participant == MARIA else [],
        "no_goal_reason": None if participant == MARIA else "We have just met",
        "did": {"chips": ["Listened"], "text": ""},
        "response": {"chips": ["Engaged"], "text": ""},
        "sentence": "They talked about Sunday.",
        "agreement": "agreed",
        "passages": [{"id": fresh(), "audience": "team", "text": ""}],
        "signed_at": now(minutes=-5),
    }
    return {name: value for name, value in (made | changed).items() if value is not None}


def session(person: Person, participant: str = MARIA, **changed: Any) -> Json:
    return person.operation(
        "session.sign", ("Encounter", fresh()), TABLET, session_payload(participant, **changed),
        occurred(),
    )  # fmt: skip


def with_private(person: Person, words: str = "Between us.") -> Json:
    passages = [
        {"id": fresh(), "audience": "team", "text": ""},
        {"id": fresh(), "audience": "private", "text": words},
    ]
    return session(person, passages=passages)


def on_note(person: Person, type_: str, note: str, **changed: Any) -> Json:
    """note.append, note.amend or note.error about a note."""
    entity = note if type_ == "note.error" else fresh()
    payload = {"note": note}
    if type_ != "note.error":
        payload |= {"text": "He called back.", "signed_at": now()}
    return person.operation(
        type_, ("DocumentReference", entity), TABLET, payload | changed, occurred()
    )


def attempt(person: Person, participant: str = MARIA, **changed: Any) -> Json:
    payload = {"participant": participant, "outcome": "no_answer", "medium": "phone", "at": now()}
    return person.operation(
        "attempt.log", ("Communication", fresh()), TABLET, payload | changed, occurred()
    )


def resealed(operation: Json, **changed: Any) -> Json:
    """The same operation with other fields and an honest hash."""
    made = {name: value for name, value in (operation | changed).items() if name != "sha256"}
    canonical = json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return made | {"sha256": hashlib.sha256(canonical.encode()).hexdigest()}


def passage(operation: Json, number: int = 0) -> str:
    found: str = operation["payload"]["passages"][number]["id"]
    return found


def push(person: Person, *operations: Json) -> list[Json]:
    answer = person.push(TABLET, *operations)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["results"]
    assert len(found) == len(operations)
    return found


def one(person: Person, operation: Json) -> Json:
    return push(person, operation)[0]


def fetch(town: Town, name: str, type_: str, id_: str) -> httpx2.Response:
    return town.get(name, f"/fhir/{type_}/{id_}")


def search(town: Town, name: str, type_: str, **parameters: str) -> list[Json]:
    """Every match, all pages."""
    answer = town.get(name, f"/fhir/{type_}", params=parameters | {"_count": "200"})
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    assert not any(link["relation"] == "next" for link in bundle.get("link", []))
    return [
        each["resource"] for each in bundle.get("entry", []) if each["search"]["mode"] == "match"
    ]


def entries(town: Town, **parameters: str) -> list[Json]:
    answer = town.get("casey", "/review/entries", params=parameters | {"limit": "1000"})
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["entries"]
    return found
