"""Entries are found by their copies, believed by their leaf, and proved under a checkpoint."""

from dataclasses import replace
from uuid import uuid4

import pytest
from hands import ORIGIN, PATIENT, STAFF, Log, Make

from service.audit import search
from service.audit.checkpoint import Policy
from service.audit.entry import Entry, Kind, Outcome, canonical
from service.audit.notary import verifier_key
from service.audit.search import Criteria
from service.audit.tiles import decode_bundle
from service.audit.tree import leaf_hash
from service.audit.verify import HOLDS, verify_proof
from service.errors import Tampered
from service.vocabulary import Action, EntryId, Micros, PatientId

OTHER = PatientId("44444444-4444-4444-8444-444444444444")


@pytest.fixture
def entries(log: Log, make: Make) -> list[Entry]:
    """Twelve, a second apart, of two participants, agents, actions, kinds and outcomes."""
    made = []
    for n in range(12):
        log.clock.advance(1)  # type: ignore[attr-defined]
        made.append(
            make(
                patient=OTHER if n % 2 else PATIENT,
                agent="someone" if n % 3 else STAFF,
                action=Action.SEARCH if n % 4 else Action.READ,
                kind=Kind.DISCLOSURE if n % 5 else Kind.USE,
                outcome=Outcome.REFUSED if n % 6 == 5 else Outcome.SUCCESS,
            )
        )
    log.write(*made)
    return made


def found(log: Log, criteria: Criteria) -> list[Entry]:
    with log.opener.read() as connection:
        return [each.entry for each in search.find(connection, criteria)]


@pytest.mark.parametrize(
    "criteria",
    [
        Criteria(),
        Criteria(patient=OTHER),
        Criteria(agent=STAFF),
        Criteria(action=Action.READ),
        Criteria(kind=Kind.USE),
        Criteria(outcome=Outcome.REFUSED),
        Criteria(outcome=Outcome.SUCCESS, patient=PATIENT, agent="someone", kind=Kind.DISCLOSURE),
        Criteria(patient=PatientId(str(uuid4()))),
    ],
)
def test_what_meets_all_criteria_is_found_newest_first(
    log: Log, entries: list[Entry], criteria: Criteria
) -> None:
    expected = [
        e
        for e in reversed(entries)
        if criteria.patient in {None, e.patient}
        and criteria.agent in {None, e.agent}
        and criteria.action in {None, e.action}
        and criteria.kind in {None, e.kind}
        and criteria.outcome in {None, e.outcome}
    ]
    assert found(log, criteria) == expected


def test_a_period_is_half_open(log: Log, entries: list[Entry]) -> None:
    period = Criteria(since=entries[3].at, until=entries[6].at)
    assert found(log, period) == entries[5:2:-1]


def test_pages_follow_without_gap_or_double(log: Log, make: Make) -> None:
    entries = [make() for _ in range(25)]  # all of one moment
    log.write(*entries)
    seen: list[Entry] = []
    criteria = Criteria(limit=4)
    while page := found(log, criteria):
        seen += page
        criteria = replace(criteria, before=(page[-1].at, page[-1].id))
    assert [e.id for e in seen] == sorted((e.id for e in entries), reverse=True)


@pytest.mark.usefixtures("entries")
def test_an_edited_copy_does_not_pass_for_another_participants_entry(log: Log) -> None:
    target = OTHER.replace("-", "") if log.sqlite else OTHER
    log.sql("UPDATE ledger_entry SET patient = :patient", patient=target)
    with pytest.raises(Tampered):
        found(log, Criteria(patient=OTHER))


def test_disclosures_are_those_that_happened_oldest_first(log: Log, entries: list[Entry]) -> None:
    since, until = entries[1].at, entries[11].at
    with log.opener.read() as connection:
        disclosed = search.disclosures(connection, PATIENT, since, until)
        assert search.disclosures(connection, PATIENT, until, Micros(until + 1)) == []
    assert disclosed == [
        e
        for e in entries[1:11]
        if e.patient == PATIENT and e.kind is Kind.DISCLOSURE and e.outcome is Outcome.SUCCESS
    ]
    assert disclosed


def test_an_entry_is_proved_to_whoever_holds_its_leaf_and_the_key(
    log: Log, entries: list[Entry]
) -> None:
    policy = Policy.parse(f"log {verifier_key(log.directory)}\nquorum none\n")
    wanted = entries[7].id
    with log.opener.read() as connection:
        assert search.proof(connection, wanted) is None  # not in the tree yet
    log.sequence()
    with log.opener.read() as connection:
        assert search.proof(connection, wanted) is None  # no checkpoint covers it yet
    log.notary.step()
    with log.opener.read() as connection:
        proof, leaf = search.proof(connection, wanted), search.leaf(connection, wanted)
        seq = search.by_id(connection, wanted)
    assert proof is not None
    assert leaf == canonical(entries[7])
    assert seq is not None
    assert seq.entry == entries[7]
    assert f"index {seq.seq}\n" in proof
    assert verify_proof(proof.encode(), leaf, policy).verdict == HOLDS
    assert verify_proof(proof.encode(), leaf + b" ", policy).verdict != HOLDS


def test_tiles_and_bundles_are_served_in_every_width_they_had(log: Log, make: Make) -> None:
    log.write(*(make() for _ in range(300)))
    log.sign()
    with log.opener.read() as connection:
        full, partial = search.tile(connection, 0, 0), search.tile(connection, 0, 1, 44)
        assert full is not None
        assert partial is not None
        assert search.tile(connection, 0, 0, 7) == full[: 7 * 32]
        for n, width, hashes in ((0, 256, full), (0, 9, full), (1, 44, partial)):
            bundle = search.bundle(connection, n, width)
            assert bundle is not None
            leaves = decode_bundle(bundle, width)
            assert b"".join(map(leaf_hash, leaves)) == hashes[: width * 32]
        assert search.served(connection, "tile/0/000") == full
        assert search.served(connection, "tile/0/001.p/44") == partial
        note = search.served(connection, "checkpoint")
        assert note is not None
        assert note.decode().startswith(f"{ORIGIN}\n300\n")


@pytest.mark.parametrize(
    "path",
    ["tile/0/001", "tile/0/001.p/45", "tile/0/0", "tile/1/000", "tile/entries/001", "tile/0/-01",
     "../x", "", "tile/0/002.p/1", "tile/64/000"],
)  # fmt: skip
def test_what_does_not_exist_is_not_served(log: Log, make: Make, path: str) -> None:
    log.write(*(make() for _ in range(300)))
    log.sign()
    with log.opener.read() as connection:
        assert search.served(connection, path) is None


def test_pruned_entries_are_gone_and_their_hashes_stay(log: Log, make: Make) -> None:
    log.write(*(make() for _ in range(300)))
    log.sign()
    log.sql("UPDATE ledger_log SET min_index = 256")
    with log.opener.read() as connection:
        assert search.bundle(connection, 0) is None
        assert search.bundle(connection, 1, 44) is not None
        assert search.tile(connection, 0, 0) is not None


def test_nothing_is_known_of_an_entry_that_is_not_there(log: Log) -> None:
    nobody = EntryId(str(uuid4()))
    with log.opener.read() as connection:
        assert search.leaf(connection, nobody) is None
        assert search.by_id(connection, nobody) is None
        assert search.proof(connection, nobody) is None
        assert search.checkpoint(connection) is None
