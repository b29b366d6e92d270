import threading
from itertools import permutations
from pathlib import Path

import pytest
from sqlalchemy import select

from service.database.transactions import Transactions
from service.errors import Conflict, SealBroken
from service.keys import keyring as keyrings
from service.keys.keyring import Keyring
from service.keys.tables import key_wrapped
from service.vocabulary import HOUSE
from tests.conftest import HandClock
from tests.keys.conftest import Ticks, new_id

BODY = b'{"resourceType":"Encounter"}'


def seal(keyring: Keyring, opener: Transactions, patient: str, **row: object) -> bytes:
    named = {"type": "Encounter", "id": new_id(), "version": 1, "body": BODY} | row
    with opener.write() as connection:
        return keyring.seal(connection, patient=patient, **named)


def opened(keyring: Keyring, opener: Transactions, sealed: bytes, **row: object) -> bytes:
    with opener.read() as connection:
        return keyring.open(connection, sealed=sealed, **row)


def test_what_was_sealed_opens_in_its_own_row_and_in_no_other(
    keyring: Keyring, opener: Transactions
) -> None:
    one, other, house = new_id(), new_id(), HOUSE
    rows = [
        {"patient": patient, "type": kind, "id": name, "version": version, "place": place}
        for patient in (one, other, house)
        for kind in ("Encounter", "Task")
        for name in ("a", "b")
        for version in (1, 2)
        for place in ("resource_version.body", "ledger_text.sealed")
    ]
    sealed = [
        seal(keyring, opener, **row, body=str(number).encode()) for number, row in enumerate(rows)
    ]
    with opener.read() as connection:
        for number, row in enumerate(rows):
            assert keyring.open(connection, **row, sealed=sealed[number]) == str(number).encode()
        for row, moved in permutations(range(len(rows)), 2):
            with pytest.raises(SealBroken):
                keyring.open(connection, **rows[row], sealed=sealed[moved])


def test_every_byte_of_a_real_row_counts_and_no_fault_ends_the_transaction(
    keyring: Keyring, opener: Transactions
) -> None:
    row = {"patient": new_id(), "type": "Task", "id": "a", "version": 1}
    sealed = seal(keyring, opener, **row)
    with opener.read() as connection:
        for at in range(len(sealed)):
            for mask in (0x01, 0x80, 0xFF):
                broken = sealed[:at] + bytes([sealed[at] ^ mask]) + sealed[at + 1 :]
                with pytest.raises(SealBroken):
                    keyring.open(connection, **row, sealed=broken)
        for broken in (b"", BODY, sealed[:-1], sealed + b"\0", b"\1" + bytes(4) + sealed[5:]):
            with pytest.raises(SealBroken):
                keyring.open(connection, **row, sealed=broken)
        assert keyring.open(connection, **row, sealed=sealed) == BODY


def test_a_second_start_opens_what_the_first_sealed(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    patient, name = new_id(), new_id()
    sealed = seal(keyring, opener, patient, id=name)
    token, free = keyring.blind.token(patient, "A", "b", "c", "d"), keyring.seal_free(b"x", "page")
    again = keyrings.start(opener, path, create=False, at=clock())
    assert again.tenant == keyring.tenant
    assert again.ingest_key == keyring.ingest_key
    assert again.blind.token(patient, "A", "b", "c", "d") == token
    assert again.open_free(free, "page") == b"x"
    row = {"patient": patient, "type": "Encounter", "id": name, "version": 1}
    assert opened(again, opener, sealed, **row) == BODY


def test_the_house_has_four_keys_and_all_differ(keyring: Keyring, opener: Transactions) -> None:
    with opener.read() as connection:
        rows = connection.execute(select(key_wrapped)).all()
    assert sorted(row.use for row in rows) == ["house", "index", "ingest", "token"]
    assert {row.owner for row in rows} == {keyring.tenant}
    assert len({bytes(row.wrapped) for row in rows}) == 4
    assert keyring.ingest_key != keyring.token_key


def test_opening_for_a_participant_without_a_key_makes_none(
    keyring: Keyring, opener: Transactions
) -> None:
    sealed = seal(keyring, opener, new_id(), id="a")
    with pytest.raises(SealBroken):
        opened(keyring, opener, sealed, patient=new_id(), type="Encounter", id="a", version=1)
    with opener.read() as connection:
        assert len(connection.execute(select(key_wrapped)).all()) == 5


def test_a_key_whose_transaction_rolls_back_is_not_kept(
    keyring: Keyring, opener: Transactions
) -> None:
    patient, row = new_id(), {"type": "Encounter", "id": "a", "version": 1}
    with pytest.raises(LookupError), opener.write() as connection:
        lost = keyring.seal(connection, patient=patient, **row, body=BODY)
        assert keyring.open(connection, patient=patient, **row, sealed=lost) == BODY
        raise LookupError
    sealed = seal(keyring, opener, patient, **row)
    assert opened(keyring, opener, sealed, patient=patient, **row) == BODY
    with pytest.raises(SealBroken):
        opened(keyring, opener, lost, patient=patient, **row)


def test_a_key_whose_savepoint_rolls_back_seals_nothing_after_it(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    patient, row = new_id(), {"type": "Encounter", "id": "a", "version": 1}
    with opener.write() as connection:
        with pytest.raises(LookupError), connection.begin_nested():
            lost = keyring.seal(connection, patient=patient, **row, body=BODY)
            keyring.open(connection, patient=patient, **row, sealed=lost)
            keyring.seal(connection, patient=patient, **row, body=BODY)
            raise LookupError
        sealed = keyring.seal(connection, patient=patient, **row, body=BODY)
    elsewhere = keyrings.start(opener, path, create=False, at=clock())
    for ring in (keyring, elsewhere):
        assert opened(ring, opener, sealed, patient=patient, **row) == BODY


def test_a_known_key_is_asked_of_the_database_once_per_five_minutes(
    keyring: Keyring, opener: Transactions, ticks: Ticks
) -> None:
    patient, row = new_id(), {"type": "Encounter", "id": "a", "version": 1}
    sealed = seal(keyring, opener, patient, **row)
    with opener.write() as connection:
        keyring.seal(connection, patient=patient, **row, body=BODY)  # read once the maker is done
    with opener.write() as connection:
        connection.execute(key_wrapped.update().values(wrapped=b"gone"))
    assert opened(keyring, opener, sealed, patient=patient, **row) == BODY
    ticks.now += 300
    with pytest.raises(SealBroken):
        opened(keyring, opener, sealed, patient=patient, **row)


def test_threads_and_keyrings_that_race_for_a_first_key_end_with_one(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    other = keyrings.start(opener, path, create=False, at=clock())
    patients = [new_id() for _ in range(5)]
    sealed: list[tuple[str, str, bytes]] = []
    gate = threading.Barrier(4)

    def run(ring: Keyring) -> None:
        for patient in patients:
            gate.wait(30)
            name = new_id()
            sealed.append((patient, name, seal(ring, opener, patient, id=name)))

    threads = [threading.Thread(target=run, args=(ring,)) for ring in (keyring, other) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(sealed) == 20
    for ring in (keyring, other):
        for patient, name, one in sealed:
            row = {"patient": patient, "type": "Encounter", "id": name, "version": 1}
            assert opened(ring, opener, one, **row) == BODY
    with opener.read() as connection:
        keys = select(key_wrapped.c.owner).where(key_wrapped.c.use == "participant")
        assert sorted(connection.execute(keys).scalars()) == sorted(patients)


def test_after_an_erase_nothing_opens_here_at_once_and_elsewhere_after_the_ttl(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock, ticks: Ticks
) -> None:
    elsewhere = keyrings.start(opener, path, create=False, at=clock(), ticks=ticks)
    patient, neighbour, row = new_id(), new_id(), {"type": "Task", "id": "a", "version": 1}
    sealed = seal(keyring, opener, patient, **row)
    near = seal(keyring, opener, neighbour, **row)
    for ring in (keyring, elsewhere):
        assert opened(ring, opener, sealed, patient=patient, **row) == BODY
    with opener.write() as connection:
        assert keyring.erase(connection, patient) == 1
    with pytest.raises(SealBroken):
        opened(keyring, opener, sealed, patient=patient, **row)
    with pytest.raises(Conflict):
        seal(keyring, opener, patient, **row)
    ticks.now += 300
    for ring in (elsewhere, keyrings.start(opener, path, create=False, at=clock())):
        with pytest.raises(SealBroken):
            opened(ring, opener, sealed, patient=patient, **row)
        with pytest.raises(Conflict):
            seal(ring, opener, patient, **row)
        assert opened(ring, opener, near, patient=neighbour, **row) == BODY
    with opener.read() as connection:
        kept = connection.execute(select(key_wrapped).where(key_wrapped.c.owner == patient)).one()
    assert (kept.state, kept.wrapped) == ("erased", None)


def test_an_erase_that_rolls_back_erases_nothing(keyring: Keyring, opener: Transactions) -> None:
    patient, row = new_id(), {"type": "Task", "id": "a", "version": 1}
    sealed = seal(keyring, opener, patient, **row)
    with pytest.raises(LookupError), opener.write() as connection:
        keyring.erase(connection, patient)
        with pytest.raises(SealBroken):
            keyring.open(connection, patient=patient, **row, sealed=sealed)
        raise LookupError
    assert opened(keyring, opener, sealed, patient=patient, **row) == BODY


def test_a_reader_that_comes_back_late_does_not_revive_an_erased_key(
    keyring: Keyring, opener: Transactions
) -> None:
    patient, row = new_id(), {"type": "Task", "id": "a", "version": 1}
    sealed = seal(keyring, opener, patient, **row)
    with opener.read() as before:
        before.execute(select(key_wrapped)).all()  # its snapshot is from before the erase
        with opener.write() as connection:
            keyring.erase(connection, patient)
        keyring.open(before, patient=patient, **row, sealed=sealed)
    with pytest.raises(SealBroken):
        opened(keyring, opener, sealed, patient=patient, **row)


def test_a_pending_erasure_neither_seals_nor_opens_and_can_be_cancelled(
    keyring: Keyring, opener: Transactions
) -> None:
    patient, row = new_id(), {"type": "Task", "id": "a", "version": 1}
    sealed = seal(keyring, opener, patient, **row)
    with opener.write() as connection:
        assert keyring.suspend(connection, patient) == 1
    with pytest.raises(SealBroken):
        opened(keyring, opener, sealed, patient=patient, **row)
    with pytest.raises(Conflict):
        seal(keyring, opener, patient, **row)
    with opener.write() as connection:
        assert keyring.reinstate(connection, patient) == 1
    assert opened(keyring, opener, sealed, patient=patient, **row) == BODY


def test_page_tokens_open_in_their_own_context_only(keyring: Keyring) -> None:
    sealed = keyring.seal_free(b"cursor", "page:caller-1")
    assert keyring.open_free(sealed, "page:caller-1") == b"cursor"
    assert sealed != keyring.seal_free(b"cursor", "page:caller-1")
    for broken, context in (
        (sealed, "page:caller-2"), (sealed[:-1], "page:caller-1"), (b"", "page:caller-1"),
        (b"\x02" + sealed[1:], "page:caller-1"), (sealed[:1] + bytes(24) + sealed[25:], ""),
    ):  # fmt: skip
        with pytest.raises(SealBroken):
            keyring.open_free(broken, context)
