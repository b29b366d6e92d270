"""Pages that neither repeat nor skip, includes, chains; and nothing but what the view sees."""

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from searching import (
    BASE,
    EVERYONE,
    HOLDER,
    KEYS,
    LOINC,
    NOW,
    ZONE,
    House,
    Resource,
    asked,
    every_id,
    guid,
    put,
    searcher,
)
from sqlalchemy import Connection, event

from service.database.transactions import Transactions
from service.errors import Malformed
from service.records.changes import settle
from service.records.includes import TooMany
from service.records.pages import resume
from service.records.view import Ceiling, OwnRecord, View
from service.vocabulary import HOUSE, STORED_TYPES, Confidentiality, PatientId

DICE = random.Random(11)  # noqa: S311 (a test)
ANN, BEA, PEER, ROLE = (guid(DICE) for _ in range(4))
META = {"lastUpdated": "2026-03-01T10:00:00Z"}


def of(type_: str, patient: str, **elements: Any) -> Resource:
    about = {"Patient": {}, "Provenance": {}}.get(
        type_, {"subject": {"reference": f"Patient/{patient}"}}
    )
    return {"resourceType": type_, "id": guid(DICE), "meta": META} | about | elements


class Shelf:
    """Puts resources on, one after the other."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.seq = 0

    def put(self, patient: str, document: Resource, **options: Any) -> str:
        self.seq += 1
        put(self.connection, document, patient, seq=self.seq, **options)
        return str(document["id"])


@pytest.fixture
def shelf(opener: Transactions) -> Iterator[Shelf]:
    with opener.write() as connection:
        settle(connection)
        yield Shelf(connection)


def ids(shelf: Shelf, query: Any, view: View = EVERYONE) -> list[str]:
    return [one.id for one in searcher(shelf.connection, view).page(query).stored]


def day(number: int) -> Resource:
    return {"period": {"start": f"2025-01-{number:02}", "end": f"2025-01-{number:02}"}}


def test_newest_come_first_and_ties_are_told_apart_by_id(shelf: Shelf) -> None:
    placed = [
        (number // 2, shelf.put(ANN, of("Encounter", ANN, **day(1 + number // 2))))
        for number in range(9)
    ]
    newest = [id_ for _, id_ in sorted(placed, reverse=True)]
    for count in ("1", "2", "4", "1000"):
        query = asked("Encounter", ("patient", ANN), ("_count", count))
        assert every_id(shelf.connection, query) == newest
        ascending = replace(query, descending=False, asked=(*query.asked, ("_sort", "date")))
        assert every_id(shelf.connection, ascending) == newest[::-1]


@pytest.mark.parametrize("sort", ["date", "-date", "_id", "-_id", "_lastUpdated", "-_lastUpdated"])
def test_rows_that_arrive_between_pages_repeat_and_hide_nothing(shelf: Shelf, sort: str) -> None:
    before = [shelf.put(ANN, of("Encounter", ANN, **day(DICE.randint(5, 9)))) for _ in range(20)]
    query = asked("Encounter", ("patient", ANN), ("_count", "3"), ("_sort", sort))
    found: list[str] = []
    while True:
        page = searcher(shelf.connection).page(query)
        found += [one.id for one in page.stored]
        for number in (1, 7, 30):
            shelf.put(ANN, of("Encounter", ANN, **day(number)))
        if page.next is None or len(found) > 300:
            break
        query = resume(KEYS, page.next, HOLDER, zone=ZONE, at=NOW, base=BASE)  # type: ignore[arg-type]
    assert len(found) == len(set(found))
    assert set(before) <= set(found)


def test_a_page_is_one_statement(shelf: Shelf) -> None:
    shelf.put(ANN, of("Encounter", ANN, **day(3)))
    run: list[str] = []
    event.listen(shelf.connection, "before_cursor_execute", lambda *a: run.append(a[2]))
    searcher(shelf.connection).page(asked("Encounter", ("patient", ANN), ("date", "2025")))
    assert len(run) == 1


def test_count_gives_no_rows_and_total_no_rows_beyond_the_view(shelf: Shelf) -> None:
    for number in range(4):
        shelf.put(ANN, of("Encounter", ANN, **day(2)), conf=5 if number else 3)
    for pair in (("_count", "0"), ("_summary", "count")):
        page = searcher(shelf.connection).page(asked("Encounter", ("patient", ANN), pair))
        assert (page.stored, page.total, page.next) == ((), 4, None)
    normal = replace(EVERYONE, ceilings={"Encounter": Ceiling(conf=Confidentiality.N)})
    query = asked("Encounter", ("patient", ANN), ("_total", "accurate"), ("_count", "1"))
    page = searcher(shelf.connection, normal).page(query)
    assert (len(page.stored), page.total, page.next) == (1, 1, None)


def test_a_type_the_role_does_not_read_is_an_empty_answer(shelf: Shelf) -> None:
    shelf.put(ANN, of("Encounter", ANN))
    view = replace(EVERYONE, ceilings={"Patient": Ceiling()})
    page = searcher(shelf.connection, view).page(asked("Encounter", ("_total", "accurate")))
    assert (page.stored, page.total) == ((), 0)


def test_participants_search_their_own_record_whatever_they_name(shelf: Shelf) -> None:
    own = shelf.put(ANN, of("Observation", ANN, code={"coding": [{"code": "x"}]}))
    shelf.put(BEA, of("Observation", BEA, code={"coding": [{"code": "x"}]}))
    view = replace(EVERYONE, reach=OwnRecord(PatientId(ANN)), bound_by_denials=False)
    assert ids(shelf, asked("Observation", ("code", "x")), view) == [own]
    assert ids(shelf, asked("Observation", ("patient", BEA)), view) == []


def test_the_deleted_are_not_found(shelf: Shelf) -> None:
    shelf.put(ANN, of("Encounter", ANN), deleted=True)
    assert ids(shelf, asked("Encounter", ("patient", ANN))) == []


def test_a_date_that_stands_in_for_another_is_not_searched(shelf: Shelf) -> None:
    undated = shelf.put(ANN, of("Encounter", ANN))
    assert ids(shelf, asked("Encounter", ("patient", ANN), ("date", "ge2026"))) == []
    assert ids(shelf, asked("Encounter", ("patient", ANN), ("date", "ne2020"))) == []
    assert ids(shelf, asked("Encounter", ("date:missing", "true"))) == [undated]


def test_salted_codes_are_found_across_participants(shelf: Shelf) -> None:
    note = {"category": [{"coding": [{"system": LOINC, "code": "N"}]}]}
    both = {shelf.put(one, of("DocumentReference", one, **note)) for one in (ANN, BEA)}
    shelf.put(ANN, of("DocumentReference", ANN))
    assert set(ids(shelf, asked("DocumentReference", ("category", f"{LOINC}|n")))) == both
    assert len(ids(shelf, asked("DocumentReference", ("category:not", "n")))) == 1


def encounters_with_provenance(shelf: Shelf) -> tuple[str, str]:
    peer = {"resourceType": "Practitioner", "id": PEER, "meta": META,
            "identifier": [{"system": "npi", "value": "17"}]}  # fmt: skip
    shelf.put(HOUSE, peer)
    shelf.put(ANN, {"resourceType": "Patient", "id": ANN, "meta": META,
                    "identifier": [{"system": "mrn", "value": "Ab"}]})  # fmt: skip
    involved = [{"individual": {"reference": f"Practitioner/{PEER}"}}]
    encounter = shelf.put(ANN, of("Encounter", ANN, participant=involved, **day(3)))
    shelf.put(BEA, of("Encounter", BEA, **day(4)))
    provenance = shelf.put(
        ANN, of("Provenance", ANN, target=[{"reference": f"Encounter/{encounter}"}],
                recorded="2025-01-03T10:00:00Z"),
    )  # fmt: skip
    return encounter, provenance


def test_includes_lead_one_hop_both_ways(shelf: Shelf) -> None:
    encounter, provenance = encounters_with_provenance(shelf)
    page = searcher(shelf.connection).page(asked(
        "Encounter", ("patient", ANN), ("_include", "Encounter:patient"),
        ("_include", "Encounter:participant:Practitioner"), ("_revinclude", "Provenance:target"),
    ))  # fmt: skip
    assert [one.id for one in page.stored] == [encounter]
    assert {(one.type, one.id) for one in page.included} == {
        ("Patient", ANN), ("Practitioner", PEER), ("Provenance", provenance)}  # fmt: skip
    backwards = searcher(shelf.connection).page(
        asked("Patient", ("_id", ANN), ("_revinclude", "Encounter:patient"))
    )
    assert [one.id for one in backwards.included] == [encounter]
    provenances = asked("Provenance", ("patient", ANN), ("_include", "Provenance:target"))
    found = searcher(shelf.connection).page(provenances)
    assert [one.id for one in found.included] == [encounter]


def test_what_is_included_must_be_visible_by_itself(shelf: Shelf) -> None:
    encounters_with_provenance(shelf)
    view = replace(EVERYONE, ceilings={"Encounter": Ceiling(), "Practitioner": Ceiling()})
    page = searcher(shelf.connection, view).page(asked(
        "Encounter", ("patient", ANN), ("_include", "Encounter:patient"),
        ("_revinclude", "Provenance:target"),
    ))  # fmt: skip
    assert len(page.stored) == 1
    assert page.included == ()


def test_a_page_shrinks_until_its_includes_fit(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.records.includes.MOST_INCLUDED", 3)
    placed = []
    for number in range(4):
        placed.append(shelf.put(ANN, of("Encounter", ANN, **day(number + 1))))
        for _ in range(2):
            target = [{"reference": f"Encounter/{placed[-1]}"}]
            shelf.put(ANN, of("Provenance", ANN, target=target))
    query = asked("Encounter", ("patient", ANN), ("_revinclude", "Provenance:target"))
    page = searcher(shelf.connection).page(query)
    assert (len(page.stored), len(page.included)) == (1, 2)
    assert every_id(shelf.connection, query) == placed[::-1]
    monkeypatch.setattr("service.records.includes.MOST_INCLUDED", 1)
    with pytest.raises(TooMany):
        searcher(shelf.connection).page(query)


def test_chains_and_has_pass_through_what_the_caller_sees(shelf: Shelf) -> None:
    encounter, _ = encounters_with_provenance(shelf)
    role = shelf.put(HOUSE, {"resourceType": "PractitionerRole", "id": ROLE, "meta": META,
                             "practitioner": {"reference": f"Practitioner/{PEER}"}})  # fmt: skip
    cases = {
        ("Encounter", "patient.identifier", "mrn|Ab"): encounter,
        ("Encounter", "participant:Practitioner.identifier", "17"): encounter,
        ("PractitionerRole", "practitioner.identifier", "npi|17"): role,
        ("Encounter", "_has:Provenance:target:recorded", "2025-01-03"): encounter,
        ("Patient", "_has:Encounter:patient:date", "2025-01-03"): ANN,
        ("Practitioner", "_has:Encounter:practitioner:date", "ge2025"): PEER,
    }
    blind = replace(EVERYONE, ceilings={
        "Encounter": Ceiling(), "PractitionerRole": Ceiling()})  # fmt: skip
    for (type_, name, value), expected in cases.items():
        assert ids(shelf, asked(type_, (name, value))) == [expected]
        assert (
            ids(shelf, asked(type_, (name, value + "x" if "identifier" in name else "2031"))) == []
        )
        if type_ in blind.ceilings:
            assert ids(shelf, asked(type_, (name, value)), blind) == []


def test_logical_references_are_found_by_their_identifier(shelf: Shelf) -> None:
    logical = {"identifier": {"system": "npi", "value": "17"}}
    found = shelf.put(ANN, of("Encounter", ANN, participant=[{"individual": logical}]))
    shelf.put(ANN, of("Encounter", ANN))
    for value in ("npi|17", "17", "npi|"):
        assert ids(shelf, asked("Encounter", ("participant:identifier", value))) == [found]
    assert ids(shelf, asked("Encounter", ("participant:identifier", "other|17"))) == []


def test_every_parameter_of_every_type_runs(shelf: Shelf) -> None:
    """Values that fit nothing: no statement is wrong, none finds anything."""
    from service.records.parameters import PARAMETERS, Kind  # noqa: PLC0415

    values = {Kind.TOKEN: "nowhere|x", Kind.REFERENCE: f"Patient/{guid(DICE)}", Kind.DATE: "sa2400",
              Kind.STRING: "nobody", Kind.URI: "urn:none"}  # fmt: skip
    encounters_with_provenance(shelf)
    one = searcher(shelf.connection)
    for type_ in sorted(STORED_TYPES - {"Binary"}):
        for name, parameter in PARAMETERS[type_].items():
            anchor = [("patient", ANN)] if "patient" in PARAMETERS[type_] else []
            assert one.page(asked(type_, *anchor, (name, values[parameter.kind]))).stored == ()
            one.page(asked(type_, (f"{name}:missing", "true"), ("_count", "1")))


def test_page_tokens_are_good_for_their_holder_alone_and_for_an_hour(shelf: Shelf) -> None:
    for number in range(3):
        shelf.put(ANN, of("Encounter", ANN, **day(number + 1)))
    query = asked("Encounter", ("patient", ANN), ("_count", "1"))
    token = searcher(shelf.connection).page(query).next
    assert token
    assert ANN not in token
    options: dict[str, Any] = {"zone": ZONE, "at": NOW, "base": BASE}
    assert resume(KEYS, token, HOLDER, **options).filters == query.filters  # type: ignore[arg-type]
    others = [
        replace(HOLDER, principal="x"), replace(HOLDER, client="x"),
        replace(HOLDER, purpose="TREAT"), replace(HOLDER, scopes=()),
    ]  # fmt: skip
    damaged = ["", "?", "AAAA", token[:-2], token[5:], token + "A" * 20_000, "é" + token]
    for holder, text, late in (
        *((other, token, 0) for other in others),
        *((HOLDER, text, 0) for text in damaged),
        (HOLDER, token, 3_600_000_000),
    ):
        with pytest.raises(Malformed):
            resume(KEYS, text, holder, **(options | {"at": NOW + late}))  # type: ignore[arg-type]


def test_a_change_of_consent_ends_the_pages(shelf: Shelf) -> None:
    from service.records.tables import consent_epoch  # noqa: PLC0415

    for number in range(3):
        shelf.put(ANN, of("Encounter", ANN, **day(number + 1)))
    token = (
        searcher(shelf.connection).page(asked("Encounter", ("patient", ANN), ("_count", "1"))).next
    )
    assert token
    query = resume(KEYS, token, HOLDER, zone=ZONE, at=NOW, base=BASE)  # type: ignore[arg-type]
    shelf.connection.execute(consent_epoch.insert(), {"patient": BEA, "epoch": 1})
    assert searcher(shelf.connection).page(query).stored
    shelf.connection.execute(consent_epoch.insert(), {"patient": ANN, "epoch": 1})
    with pytest.raises(Malformed):
        searcher(shelf.connection).page(query)


def test_no_participant_in_common_finds_nothing(shelf: Shelf) -> None:
    shelf.put(ANN, of("Encounter", ANN))
    assert ids(shelf, asked("Encounter", ("patient", ANN), ("patient", BEA))) == []
    assert (
        ids(shelf, asked("Encounter", ("patient", ANN), ("subject", f"Practitioner/{ANN}"))) == []
    )
    assert len(ids(shelf, asked("Encounter", ("patient", f"{ANN},{BEA}")))) == 1


def test_a_whole_house_pages_through_without_an_anchor(shelf: Shelf) -> None:
    house = House(seed=3, size=60)
    house.load(shelf.connection)
    everything = {d["id"] for _, d in house.documents if d["resourceType"] == "Encounter"}
    for sort in ("date", "-_id", "_lastUpdated"):
        query = asked("Encounter", ("_count", "7"), ("_sort", sort))
        assert set(every_id(shelf.connection, query)) == everything
