"""A small house to search in: random resources, put straight into the tables, bodies unsealed."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, insert

from service.errors import SealBroken
from service.keys.blind import Blind
from service.records.conditions import Reading
from service.records.directory import Directory
from service.records.extract import extract
from service.records.pages import Holder
from service.records.query import Query, parse
from service.records.search import Searcher
from service.records.tables import (
    ix_date,
    ix_identifier,
    ix_reference,
    ix_token,
    resource,
    resource_version,
)
from service.records.view import Ceiling, Everyone, View
from service.vocabulary import HOUSE, STORED_TYPES, Micros, PatientId

ZONE = ZoneInfo("America/New_York")
NOW = Micros(1_773_324_000_000_000)
BASE = "https://notes.example/fhir"
AMB = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
EVERYONE = View(
    at=NOW, principal="5f0d2f4e-0000-4000-8000-000000000001",
    ceilings={name: Ceiling(private=True) for name in STORED_TYPES}, writes=frozenset(),
    reach=Everyone(), recipients=("*",), purpose="HCOMPL",
)  # fmt: skip
HOLDER = Holder("officer", "console", "HCOMPL", ("user/*.rs",))
Resource = dict[str, Any]


class OpenKeys:
    """Stands in for the keyring: bodies lie open; free seals are marked and checked."""

    def __init__(self) -> None:
        self.blind = Blind(bytes(32), "test")

    def open(self, connection: Connection, *, sealed: bytes, **_place: object) -> bytes:
        assert connection
        return sealed

    def seal_free(self, data: bytes, context: str) -> bytes:
        return context.encode() + b"\0" + data + self.blind.digest(context, data)

    def open_free(self, sealed: bytes, context: str) -> bytes:
        data, mark = sealed[len(context) + 1 : -32], sealed[-32:]
        if not sealed.startswith(context.encode()) or mark != self.blind.digest(context, data):
            raise SealBroken
        return data


KEYS = OpenKeys()


def searcher(connection: Connection, view: View = EVERYONE, **options: Any) -> Searcher:
    directory = options.pop("directory", None) or Directory(KEYS, ZONE)  # type: ignore[arg-type]
    options = {"holder": HOLDER, "at": NOW} | options
    return Searcher(connection, KEYS, view, directory, **options)  # type: ignore[arg-type]


def asked(type_: str, *pairs: tuple[str, str], lenient: bool = False) -> Query:
    return parse(type_, pairs, Reading(ZONE, NOW, BASE), lenient=lenient)


def every_id(connection: Connection, query: Query, view: View = EVERYONE) -> list[str]:
    """The ids of a whole search, all pages of it, in order."""
    from service.records.pages import resume  # noqa: PLC0415

    ids: list[str] = []
    while True:
        page = searcher(connection, view).page(query)
        ids += [one.id for one in page.stored]
        if page.next is None:
            return ids
        query = resume(KEYS, page.next, HOLDER, zone=ZONE, at=NOW, base=BASE)  # type: ignore[arg-type]


def put(
    connection: Connection, document: Resource, patient: str, *, seq: int, version: int = 1,
    conf: int = 3, deleted: bool = False,
) -> None:  # fmt: skip
    """As the store would: the row, the version, the search rows."""
    rows = extract(document, patient=patient, blind=KEYS.blind, zone=ZONE, base=BASE)
    updated = updated_of(document)
    owner = {"patient": patient, "type": document["resourceType"], "id": document["id"]}
    labels = {"conf": conf, "families": 0, "audience": "team", "author": None}
    current = owner | labels | {
        "version": version, "seq": seq, "lo": rows.main.lo, "hi": rows.main.hi,
        "updated": updated, "deleted": deleted,
    }  # fmt: skip
    for table in (resource, ix_token, ix_reference, ix_date, ix_identifier):
        connection.execute(table.delete().where(table.c.patient == patient,
                                                table.c.id == document["id"]))  # fmt: skip
    connection.execute(insert(resource), current)
    connection.execute(insert(resource_version), owner | labels | {
        "version": version, "seq": seq, "updated": updated, "method": "PUT",
        "entry": document["id"], "body": msgspec.json.encode(document),
    })  # fmt: skip
    for table, found in ((ix_token, rows.tokens), (ix_reference, rows.references),
                         (ix_date, rows.dates), (ix_identifier, rows.identifiers)):  # fmt: skip
        if found and not deleted:
            connection.execute(insert(table), found)


def updated_of(document: Resource) -> int:
    at = datetime.fromisoformat(document["meta"]["lastUpdated"])
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def guid(dice: random.Random) -> str:
    return str(UUID(int=dice.getrandbits(128), version=4))


class House:
    """Six participants, their staff, and what happened between them."""

    def __init__(self, seed: int, size: int = 150) -> None:
        self.dice = random.Random(seed)  # noqa: S311 (a test)
        self.patients = [guid(self.dice) for _ in range(6)]
        self.staff = [guid(self.dice) for _ in range(3)]
        self.documents: list[tuple[str, Resource]] = []
        makers = (self.encounter, self.document, self.observation)
        for number in range(size):
            patient = self.dice.choice(self.patients)
            document = self.dice.choice(makers)(patient)
            document["id"] = guid(self.dice)
            document["meta"] = {"lastUpdated": f"2026-03-{1 + number % 9:02}T10:00:00.{number:06}Z"}
            self.documents.append((patient, {k: v for k, v in document.items() if v}))

    def load(self, connection: Connection) -> None:
        for number, (patient, document) in enumerate(self.documents):
            put(connection, document, patient, seq=number + 1)

    def maybe(self, value: Any) -> Any:
        return value if self.dice.random() < 0.75 else None

    def date(self) -> str:
        dice = self.dice
        day = f"2025-{dice.choice((1, 2, 3)):02}-{dice.choice((1, 9, 28)):02}"
        clock = f"T{dice.choice((0, 4, 12, 23)):02}:{dice.choice((0, 30)):02}:00"
        return dice.choice(
            ("2025", day[:7], day, day, f"{day}{clock}Z", f"{day}{clock}-05:00", f"{day}{clock}.5Z")
        )

    def period(self) -> Resource:
        start, end = sorted((self.date(), self.date()))
        period = {"start": self.maybe(start), "end": self.maybe(end)}
        return {k: v for k, v in period.items() if v}

    def coding(self, *codes: str) -> Resource:
        system = self.maybe(self.dice.choice((SNOMED, LOINC)))
        return {"code": self.dice.choice(codes)} | ({"system": system} if system else {})

    def concepts(self, *codes: str) -> list[Resource]:
        return [
            {"coding": [self.coding(*codes) for _ in range(self.dice.choice((1, 1, 2)))]}
            for _ in range(self.dice.choice((0, 1, 1, 2)))
        ]

    def someone(self) -> Resource:
        kind = self.dice.choice(("Practitioner", "PractitionerRole"))
        form = self.dice.choice(("{}/{}", "{}/{}", BASE + "/{}/{}", "https://else.example/{}/{}"))
        return {"reference": form.format(kind, self.dice.choice(self.staff))}

    def encounter(self, patient: str) -> Resource:
        return {
            "resourceType": "Encounter", "status": self.dice.choice(("finished", "in-progress")),
            "class": self.coding("AMB", "VR"), "type": self.concepts("A", "b", "c,d"),
            "subject": {"reference": f"Patient/{patient}"}, "period": self.maybe(self.period()),
            "participant": [{"individual": self.someone()}
                            for _ in range(self.dice.choice((0, 1, 2)))],
            "identifier": self.identifiers(),
        }  # fmt: skip

    def document(self, patient: str) -> Resource:
        return {
            "resourceType": "DocumentReference",
            "status": self.dice.choice(("current", "superseded")),
            "type": (self.concepts("A", "b") or [None])[0],
            "category": self.concepts("A", "b", "note"),
            "subject": {"reference": f"Patient/{patient}"},
            "date": self.maybe(f"2025-01-09T0{self.dice.choice((4, 5))}:00:00Z"),
            "author": [self.someone() for _ in range(self.dice.choice((0, 1)))],
            "context": self.maybe({"period": self.period()}), "identifier": self.identifiers(),
        }  # fmt: skip

    def observation(self, patient: str) -> Resource:
        when = self.dice.choice(("effectiveDateTime", "effectivePeriod", None))
        effective: Resource = {}
        if when:
            effective[when] = self.date() if when == "effectiveDateTime" else self.period()
        return {
            "resourceType": "Observation", "status": self.dice.choice(("final", "amended")),
            "code": (self.concepts("A", "b") or [None])[0],
            "category": self.concepts("survey", "A"),
            "subject": {"reference": f"Patient/{patient}"}, "identifier": self.identifiers(),
            "performer": [self.someone() for _ in range(self.dice.choice((0, 1, 2)))], **effective,
        }  # fmt: skip

    def identifiers(self) -> list[Resource]:
        return [
            {"value": self.dice.choice(("N1", "n1", "N2"))}
            | ({"system": "urn:here"} if self.dice.random() < 0.6 else {})
            for _ in range(self.dice.choice((0, 1, 1)))
        ]


def home(documents: Iterable[Resource]) -> list[tuple[str, Resource]]:
    return [(str(HOUSE), one) for one in documents]


def mine(patient: str) -> PatientId:
    return PatientId(patient)
