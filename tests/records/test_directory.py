"""Names, addresses and birth dates: found from memory, never from the database."""

from collections.abc import Iterator
from typing import Any

import pytest
from searching import KEYS, ZONE, Resource, asked, put, searcher
from sqlalchemy import Connection, text

from service.database.transactions import Transactions
from service.records.changes import number, settle
from service.records.directory import Directory
from service.vocabulary import HOUSE, PATIENT_TYPES

ANN, BEA, CAM, PEER, ROLE, WALK = (f"0f8fad5b-d9cb-469f-a165-7086772895{n:02}" for n in range(6))
META = {"lastUpdated": "2026-03-01T10:00:00Z"}


def patient(id_: str, **elements: Any) -> Resource:
    return {"resourceType": "Patient", "id": id_, "meta": META} | elements


PEOPLE = (
    patient(ANN, name=[{"family": "Núñez", "given": ["Ann", "María"]}], birthDate="1990-05-17",
            gender="female", telecom=[{"system": "phone", "value": "555-0101"},
                                      {"system": "email", "value": "Ann@house.example"}],
            address=[{"line": ["1 Elm St"], "city": "Albany", "state": "NY",
                      "postalCode": "12201"}]),
    patient(BEA, name=[{"family": "Nunez-Smith", "given": ["Bea"], "text": "Bea N."}],
            birthDate="1990", gender="female"),
    patient(CAM, gender="male"),
)  # fmt: skip


class Town:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.directory = Directory(KEYS, ZONE)  # type: ignore[arg-type]
        self.seq = 0
        settle(connection)

    def put(self, document: Resource, **options: Any) -> None:
        self.seq += 1
        whose = document["id"] if document["resourceType"] in PATIENT_TYPES else HOUSE
        put(self.connection, document, whose, seq=number(self.connection, self.seq), **options)

    def find(self, type_: str, *pairs: tuple[str, str]) -> set[str]:
        page = searcher(self.connection, directory=self.directory).page(asked(type_, *pairs))
        return {one.id for one in page.stored}


@pytest.fixture
def town(opener: Transactions) -> Iterator[Town]:
    with opener.write() as connection:
        found = Town(connection)
        for person in PEOPLE:
            found.put(person)
        yield found


def test_searches_of_people_compare_as_fhir_says(town: Town) -> None:
    for pair, expected in {
        ("name", "nunez"): {ANN, BEA}, ("name", "NÚÑEZ"): {ANN, BEA}, ("family", "nunez-"): {BEA},
        ("name", "mar"): {ANN}, ("given", "smith"): set(), ("name", "bea n"): {BEA},
        ("name:exact", "Núñez"): {ANN}, ("name:exact", "Nunez"): set(),
        ("name:contains", "SMITH"): {BEA}, ("name", "ann,bea"): {ANN, BEA},
        ("name", "\u0301"): set(),
        ("name:missing", "true"): {CAM}, ("name:missing", "false"): {ANN, BEA},
        ("birthdate", "1990-05-17"): {ANN}, ("birthdate", "1990"): {ANN, BEA},
        ("birthdate", "lt1990-05-17"): {BEA}, ("birthdate", "gt1991"): set(),
        ("gender", "female"): {ANN, BEA}, ("gender:not", "female"): {CAM},
        ("gender", "http://hl7.org/fhir/administrative-gender|male"): {CAM},
        ("phone", "555-0101"): {ANN}, ("email", "555-0101"): set(),
        ("email", "ANN@house.example"): {ANN}, ("telecom", "phone|555-0101"): {ANN},
        ("address", "1 elm"): {ANN}, ("address-city", "alb"): {ANN},
        ("address-postalcode", "12201"): {ANN}, ("address-state", "CA"): set(),
    }.items():  # fmt: skip
        assert town.find("Patient", pair) == expected, pair
    assert town.find("Patient", ("birthdate", "1990"), ("name", "bea")) == {BEA}
    assert town.find("Patient", ("_id", ANN), ("name", "bea")) == set()


def test_a_search_sees_what_was_committed_before_it_began(town: Town) -> None:
    assert town.find("Patient", ("family", "poole")) == set()
    town.put(patient(CAM, name=[{"family": "Poole"}]), version=2)
    assert town.find("Patient", ("family", "poole")) == {CAM}
    town.put(patient(CAM, name=[{"family": "Quill"}]), version=3)
    assert town.find("Patient", ("family", "poole")) == set()
    town.put(patient(CAM), version=4, deleted=True)
    assert town.find("Patient", ("family", "quill")) == set()
    assert town.find("Patient", ("name:missing", "true")) == set()


def test_the_deleted_and_the_erased_leave_memory(town: Town) -> None:
    town.directory.refresh(town.connection)
    town.put(patient(BEA), version=2, deleted=True)
    town.directory.refresh(town.connection)
    town.directory.forget(ANN)
    for column in town.directory._columns.values():
        column._settle()
        assert not any(column.texts)
        assert not set(column.present) & {ANN, BEA}


def test_what_the_view_hides_the_directory_does_not_show(town: Town) -> None:
    town.put(PEOPLE[1], version=2, conf=9)
    assert town.find("Patient", ("name", "nunez")) == {ANN}
    assert town.find("Patient", ("name:missing", "false")) == {ANN}


def test_chains_reach_names(town: Town) -> None:
    town.put({"resourceType": "Practitioner", "id": PEER, "meta": META,
              "name": [{"family": "Poole"}]})  # fmt: skip
    town.put({"resourceType": "PractitionerRole", "id": ROLE, "meta": META,
              "practitioner": {"reference": f"Practitioner/{PEER}"}})  # fmt: skip
    assert town.find("PractitionerRole", ("practitioner.name", "poo")) == {ROLE}
    assert town.find("PractitionerRole", ("practitioner.name", "poox")) == set()


def test_no_name_is_hashed_into_the_database(town: Town) -> None:
    found = town.connection.execute(text("SELECT count(*) FROM ix_token")).scalar_one()
    assert found == 0


def test_more_people_than_a_batch_are_all_found(town: Town, monkeypatch: Any) -> None:
    monkeypatch.setattr("service.records.directory.FEW", 2)
    for place in range(520):
        id_ = f"1f8fad5b-d9cb-469f-a165-70867728{place:04}"
        town.put(patient(id_, name=[{"family": f"Quill{place}"}]))
    assert len(town.find("Patient", ("name", "quill"), ("_count", "1000"))) == 520
