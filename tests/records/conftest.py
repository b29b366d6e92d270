"""A settled store with a keyring, a house of one organisation, and small valid resources."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest

from service.database.transactions import Transactions
from service.keys import keyring as keyrings
from service.keys.keyring import Keyring
from service.records import changes
from service.records.labels import Labels
from service.records.store import Records
from service.records.view import Caseload, Ceiling, Everyone, Reach, View
from service.vocabulary import (
    STORED_TYPES,
    Audience,
    Confidentiality,
    EntryId,
    Family,
    Micros,
    ResourceId,
)
from tests.conftest import HandClock

ZONE = ZoneInfo("America/New_York")
NORMAL = Labels(Confidentiality.N, Family(0), Audience.TEAM)
ALL = {name: Ceiling(private=True) for name in STORED_TYPES}


def new_id() -> str:
    return str(uuid4())


def view(at: int, reach: Reach | None = None, **changed: Any) -> View:
    plain = View(
        at=Micros(at), principal=new_id(), ceilings=ALL, writes=frozenset(STORED_TYPES),
        reach=reach or Everyone(), recipients=("*",), purpose="TREAT",
    )  # fmt: skip
    return replace(plain, **changed)


def caseload(practitioner: str, **options: Any) -> Caseload:
    return Caseload(ResourceId(practitioner), **options)


class Store:
    """Acts on one database: each `act` is a transaction with its Records."""

    def __init__(self, opener: Transactions, keyring: Keyring, clock: HandClock) -> None:
        self.opener = opener
        self.keyring = keyring
        self.clock = clock
        with opener.write() as connection:
            changes.settle(connection)

    @contextmanager
    def act(self, seen: View | None = None) -> Iterator[Records]:
        with self.opener.write() as connection:
            yield self.records(connection, seen)

    @contextmanager
    def reading(self, seen: View | None = None) -> Iterator[Records]:
        with self.opener.read() as connection:
            yield self.records(connection, seen)

    def records(self, connection: Any, seen: View | None = None) -> Records:
        seen = seen or view(self.clock())
        return Records(connection, self.keyring, seen, self.clock(), ZONE)

    def put(self, resource: dict[str, Any], seen: View | None = None, **options: Any) -> str:
        """Stored under its own id, or a new one; answers the id."""
        with self.act(seen) as records:
            return make(records, resource, **options)


def make(records: Records, resource: dict[str, Any], **options: Any) -> str:
    options.setdefault("labels", NORMAL)
    options.setdefault("id", resource.get("id"))
    if resource["resourceType"] == "Consent":
        options.setdefault("rules", ())
    return records.create(resource, entry=entry(), **options).stored.id


def entry() -> EntryId:
    return EntryId(new_id())


@pytest.fixture
def keyring(opener: Transactions, tmp_path: Path, clock: HandClock) -> Keyring:
    return keyrings.start(opener, tmp_path / "keys" / "keyring.json", create=True, at=clock())


@pytest.fixture
def store(opener: Transactions, keyring: Keyring, clock: HandClock) -> Store:
    return Store(opener, keyring, clock)


def patient(id_: str | None = None) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_ or new_id(), "gender": "female"}


def practitioner(id_: str | None = None) -> dict[str, Any]:
    return {"resourceType": "Practitioner", "id": id_ or new_id(), "name": [{"family": "Ortiz"}]}


def encounter(subject: str, id_: str | None = None, *, by: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Encounter",
        "id": id_ or new_id(),
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{subject}"},
        "period": {"start": "2026-03-10T14:00:00-04:00", "end": "2026-03-10T14:30:00-04:00"},
    }
    if by:
        made["participant"] = [{"individual": {"reference": f"Practitioner/{by}"}}]
    return made


def note(subject: str, about: str, id_: str | None = None) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference",
        "id": id_ or new_id(),
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "11506-3"}]},
        "subject": {"reference": f"Patient/{subject}"},
        "content": [{"attachment": {"contentType": "text/plain", "data": "Ym95"}}],
        "context": {"encounter": [{"reference": f"Encounter/{about}"}]},
    }


def team(
    subject: str, *members: str, id_: str | None = None, end: str | None = None,
    status: str = "active", kind: str = "Practitioner",
) -> dict[str, Any]:  # fmt: skip
    made: dict[str, Any] = {
        "resourceType": "CareTeam",
        "id": id_ or new_id(),
        "status": status,
        "subject": {"reference": f"Patient/{subject}"},
    }
    if members:
        made["participant"] = [{"member": {"reference": f"{kind}/{one}"}} for one in members]
    if end:
        made["period"] = {"end": end}
    return made
