"""The requests of each load, as bytes, made before the clock starts.

Every one names another record or participant than the one before, in an order that is the same in
every run, so that no cache makes a server look better than it is.
"""

import hashlib
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from bench import town
from bench.seed import Token
from service.database.ids import uuid7
from service.vocabulary import Micros

DEVICE = "b7000000-0000-4000-8000-000000000001"
PAGE = 20


def _request(
    method: str, path: str, token: Token | None = None, body: bytes = b"", kind: str = ""
) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "accept: application/fhir+json"]
    if token:
        lines.append(f"authorization: Bearer {token.bearer}")
    if body:
        lines += [f"content-type: {kind}", f"content-length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def reads(token: Token, encounters: int, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)  # noqa: S311 (a load, not a secret)
    while True:
        chosen = town.encounter_id(chance.randrange(encounters))
        yield _request("GET", f"/fhir/Encounter/{chosen}", token)


def searches(token: Token, people: int, seed: int) -> Iterator[bytes]:
    """One participant's newest encounters."""
    chance = random.Random(seed)  # noqa: S311
    while True:
        who = town.participant(chance.randrange(people))
        path = f"/fhir/Encounter?patient={who}&_sort=-date&_count={PAGE}"
        yield _request("GET", path, token)


def creates(token: Token, people: int, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)  # noqa: S311
    while True:
        fresh = str(UUID(int=chance.getrandbits(128), version=4))
        resource = town.encounter(chance.randrange(people), people, id_=fresh)
        body = msgspec.json.encode(resource)
        yield _request("POST", "/fhir/Encounter", token, body, "application/fhir+json")


def floor_creates(people: int, seed: int) -> Iterator[bytes]:
    """The same bodies as `creates`."""
    chance = random.Random(seed)  # noqa: S311
    while True:
        fresh = str(UUID(int=chance.getrandbits(128), version=4))
        resource = town.encounter(chance.randrange(people), people, id_=fresh)
        yield _request(
            "POST", "/floor", None, msgspec.json.encode(resource), "application/fhir+json"
        )


def floor_reads(ids: list[str], seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)  # noqa: S311
    while True:
        yield _request("GET", f"/floor/{chance.choice(ids)}")


def sessions(peers: tuple[Token, ...], people: int, seed: int) -> Iterator[bytes]:
    """A routine session each, pushed by the peer who serves the participant."""
    chance = random.Random(seed)  # noqa: S311
    number = 0
    while True:
        number += 1
        who = chance.randrange(people)
        token = peers[town.peer_of(who)]
        operation = _signed_session(chance, who, number, token.principal)
        batch = {"device": DEVICE, "app_version": "bench", "ops": [operation]}
        body = msgspec.json.encode(batch)
        yield _request("POST", "/sync/v1/push", token, body, "application/json")


def _signed_session(chance: random.Random, who: int, number: int, user: str) -> dict[str, object]:
    """One team note about one goal, the participant agreed: five records in one commit."""
    encounter, note = (str(UUID(int=chance.getrandbits(128), version=4)) for _ in "en")
    end = datetime(2026, 10, 1, 10, tzinfo=UTC) + timedelta(minutes=number % 40_000)
    start = end - timedelta(minutes=30)
    operation: dict[str, object] = {
        "op_id": uuid7(Micros(time.time_ns() // 1000)),
        "type": "session.sign",
        "schema": 1,
        "entity": {"type": "Encounter", "id": encounter},
        "base_version": None,
        "depends_on": [],
        "seq": number,
        "device_id": DEVICE,
        "user_id": user,
        "occurred": {
            "start": start.isoformat(timespec="seconds"),
            "end": end.isoformat(timespec="seconds"),
            "tz": "America/New_York",
            "timer_s": 1800,
        },
        "created_at_device": end.isoformat(timespec="seconds"),
        "clock_offset_ms": 0,
        "payload": {
            "participant": town.participant(who),
            "modality": "in_person",
            "place": "site",
            "service": "one_to_one",
            "goals": [{"id": town.goal_id(who), "progress": None}],
            "did": {"chips": ["Listened", "Practised a phone call"], "text": ""},
            "response": {"chips": ["Engaged"], "text": ""},
            "sentence": "They rang their sister and will meet on Sunday.",
            "their_words": "I did not think she would pick up.",
            "mood": 4,
            "agreement": "agreed",
            "passages": [{"id": note, "audience": "team", "text": ""}],
            "signed_at": (end + timedelta(minutes=1)).isoformat(timespec="seconds"),
        },
    }
    digest = hashlib.sha256(msgspec.json.encode(operation, order="sorted")).hexdigest()
    return operation | {"sha256": digest}
