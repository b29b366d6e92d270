"""A caseload follows its CareTeams at once, and the clock with no job at all."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from service.errors import Absent, Invalid
from service.records import edges, glass, rules
from service.records.store import Records
from service.records.view import Consented
from service.vocabulary import (
    OPEN_END,
    OPEN_START,
    Confidentiality,
    Family,
    Micros,
    PatientId,
)
from tests.records.conftest import (
    Store,
    caseload,
    encounter,
    entry,
    new_id,
    patient,
    practitioner,
    team,
    view,
)


@pytest.fixture
def subject(store: Store) -> str:
    return store.put(patient())


@pytest.fixture
def peer(store: Store) -> str:
    return store.put(practitioner())


def sees(store: Store, who: str, subject: str, **options: Any) -> bool:
    with store.reading(view(store.clock(), caseload(who, **options))) as records:
        return reads(records, "Patient", subject)


def reads(records: Records, type_: str, id_: str) -> bool:
    try:
        return bool(records.read(type_, id_))
    except Absent:
        return False


def test_a_careteam_opens_a_caseload_and_its_end_closes_it(
    store: Store, subject: str, peer: str
) -> None:
    assert not sees(store, peer, subject)
    sent = team(subject, peer)
    store.put(sent)
    assert sees(store, peer, subject)
    with store.act() as records:
        records.update(sent | {"status": "inactive"}, entry=entry(), if_match=1)
    assert not sees(store, peer, subject)
    with store.act() as records:
        records.update(sent, entry=entry(), if_match=2)
        records.delete("CareTeam", sent["id"], entry=entry())
    assert not sees(store, peer, subject)


def test_a_period_ends_by_itself_at_the_end_of_its_day_here(
    store: Store, subject: str, peer: str
) -> None:
    store.put(team(subject, peer, end="2026-03-12"))
    assert sees(store, peer, subject)
    store.clock.advance(13.9 * 3600)  # 14:00Z is ten in the morning in New York
    assert sees(store, peer, subject)
    store.clock.advance(0.2 * 3600)
    assert not sees(store, peer, subject)


def test_a_member_is_there_for_their_own_period(store: Store, subject: str, peer: str) -> None:
    sent = team(subject, peer)
    sent["participant"][0]["period"] = {"start": "2026-03-13"}
    store.put(sent)
    assert not sees(store, peer, subject)
    store.clock.advance(24 * 3600)
    assert sees(store, peer, subject)


def test_a_member_named_by_role_is_the_practitioner(store: Store, subject: str, peer: str) -> None:
    role = store.put({
        "resourceType": "PractitionerRole", "id": new_id(),
        "practitioner": {"reference": f"Practitioner/{peer}"},
    })  # fmt: skip
    store.put(team(subject, role, kind="PractitionerRole"))
    assert sees(store, peer, subject)


def test_a_supervisor_sees_what_their_peers_see_while_they_supervise(
    store: Store, subject: str, peer: str
) -> None:
    store.put(team(subject, peer))
    boss = store.put(practitioner())
    with store.opener.write() as connection:
        edges.supervise(connection, boss, peer, store.clock())
    assert sees(store, boss, subject, supervises=True)
    assert not sees(store, boss, subject)
    with store.opener.write() as connection:
        edges.release(connection, boss, peer, store.clock())
    assert not sees(store, boss, subject, supervises=True)


def test_nobody_supervises_themselves(store: Store, peer: str) -> None:
    with store.opener.write() as connection, pytest.raises(Invalid):
        edges.supervise(connection, peer, peer, store.clock())


def rule(effect: str, **changed: Any) -> dict[str, Any]:
    return {
        "effect": effect, "nested": False, "recipient": "Organization/a", "purpose": "TREAT",
        "lo": OPEN_START, "hi": OPEN_END, "conf": Confidentiality.V, "families": Family(2**19 - 1),
        "data_lo": OPEN_START, "data_hi": OPEN_END, "type": "*", "target": None,
        "target_kind": "",
    } | changed  # fmt: skip


def say(connection: Connection, subject: str, *rows: dict[str, Any], consent: str) -> None:
    rules.replace(connection, PatientId(subject), consent, rows)


def test_an_outside_recipient_sees_what_a_permit_in_force_opens(store: Store, subject: str) -> None:
    about, consent = store.put(encounter(subject)), new_id()
    outside = view(store.clock(), Consented(), recipients=("*", "Organization/a"))

    def reads_it() -> bool:
        with store.reading(outside) as records:
            return reads(records, "Encounter", about)

    assert not reads_it()
    with store.opener.write() as connection:
        say(connection, subject, rule("permit"), consent=consent)
        assert rules.epoch(connection, PatientId(subject)) == 1
    assert reads_it()
    with store.opener.write() as connection:
        say(connection, subject, rule("permit", hi=store.clock()), consent=consent)
    assert not reads_it()
    with store.opener.write() as connection:
        say(connection, subject, rule("permit"), rule("deny", nested=True, conf=0),
            consent=consent)  # fmt: skip
    assert not reads_it()
    with store.opener.write() as connection:
        say(connection, subject, consent=consent)
        assert rules.epoch(connection, PatientId(subject)) == 4
    assert not reads_it()


def test_a_tombstone_stays_hidden_by_what_hid_the_record(store: Store, subject: str) -> None:
    peer = store.put(practitioner())
    about = store.put(encounter(subject, by=peer))
    with store.opener.write() as connection:
        say(connection, subject, rule("permit"),
            rule("deny", nested=True, conf=0, target=peer, target_kind="related"),
            consent=new_id())  # fmt: skip
    outside = view(store.clock(), Consented(), recipients=("Organization/a",))
    with store.act() as records:
        records.delete("Encounter", about, entry=entry())
    with store.reading(outside) as records, pytest.raises(Absent):
        records.read("Encounter", about)


def test_a_glass_once_broken_opens_one_participant_to_one_caller_for_a_while(
    store: Store, subject: str
) -> None:
    me, about = new_id(), store.put(encounter(subject))
    other = store.put(patient())
    seen = view(store.clock(), caseload(new_id()), principal=me, purpose="BTG")
    with store.opener.write() as connection:
        glass.open_grant(
            connection, store.keyring, patient=PatientId(subject), principal=me, at=store.clock(),
            until=Micros(store.clock() + 600_000_000), record=b'{"reason":"overdose"}',
        )  # fmt: skip
        [grant] = glass.grants(connection, store.keyring, store.clock(), OPEN_END)
    assert grant.record == b'{"reason":"overdose"}'
    with store.reading(seen) as records:
        assert reads(records, "Encounter", about)
        assert not reads(records, "Patient", other)
    for changed in ({"purpose": "TREAT"}, {"principal": new_id()},
                    {"at": Micros(store.clock() + 600_000_000)}):  # fmt: skip
        hidden = replace(seen, **changed)
        with store.reading(hidden) as records:
            assert not reads(records, "Encounter", about)


def test_a_grant_lasts_an_hour_at_most(store: Store, subject: str) -> None:
    with store.opener.write() as connection, pytest.raises(Invalid):
        glass.open_grant(
            connection, store.keyring, patient=PatientId(subject), principal=new_id(),
            at=store.clock(), until=Micros(store.clock() + 3_600_000_001), record=b"",
        )  # fmt: skip
