"""Rotation moves every key and touches no record, wherever it is killed."""

import multiprocessing
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from service.database import engine as engines
from service.database.transactions import Transactions
from service.errors import Conflict, SealBroken
from service.keys import keyring as keyrings
from service.keys import rotation
from service.keys.custody import Custody
from service.keys.keyring import Keyring
from service.keys.provider import LocalRoot
from service.keys.tables import key_kek, key_root, key_wrapped
from service.vocabulary import Micros
from tests.conftest import HandClock
from tests.keys.conftest import Ticks, new_id

KILLS = int(os.environ.get("PEERNOTES_TEST_KILLS", "4"))
ROW = {"type": "Task", "id": "a", "version": 1}


def populate(keyring: Keyring, opener: Transactions, count: int) -> dict[str, bytes]:
    patients = [new_id() for _ in range(count)]
    with opener.write() as connection:
        return {
            patient: keyring.seal(connection, patient=patient, **ROW, body=patient.encode())
            for patient in patients
        }


def all_open(keyring: Keyring, opener: Transactions, sealed: dict[str, bytes]) -> bool:
    with opener.read() as connection:
        return all(
            keyring.open(connection, patient=patient, **ROW, sealed=body) == patient.encode()
            for patient, body in sealed.items()
        )


def keks_in_use(opener: Transactions) -> set[int]:
    with opener.read() as connection:
        used = select(key_wrapped.c.kek).where(key_wrapped.c.wrapped.is_not(None)).distinct()
        return set(connection.execute(used).scalars())


def states(opener: Transactions) -> dict[int, str]:
    with opener.read() as connection:
        rows = connection.execute(select(key_kek.c.kek, key_kek.c.state))
        return {row.kek: row.state for row in rows}


def test_a_rotation_moves_every_key_and_running_processes_go_on(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock, ticks: Ticks
) -> None:
    sealed = populate(keyring, opener, 30)
    done = rotation.rotate(opener, path, at=clock(), batch=7)
    assert done == rotation.Rotation(kek=2, begun=True, moved=34, broken=0)
    assert keks_in_use(opener) == {2}
    assert states(opener) == {1: "retired", 2: "active"}
    ticks.now += 300  # forget the opened keys: they must be unwrapped under the new one
    assert all_open(keyring, opener, sealed)
    late = populate(keyring, opener, 3)
    assert keks_in_use(opener) == {2}
    again = keyrings.start(opener, path, create=False, at=clock())
    assert again.ingest_key == keyring.ingest_key
    assert all_open(again, opener, sealed | late)


def test_a_rotation_left_halfway_is_finished_before_another_begins(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    sealed = populate(keyring, opener, 5)
    rotation._begin(opener, path, clock())
    assert states(opener) == {1: "retiring", 2: "active"}
    both = keyrings.start(opener, path, create=False, at=clock())
    assert all_open(both, opener, sealed)
    done = rotation.rotate(opener, path, at=clock())
    assert (done.kek, done.begun, done.moved) == (2, False, 9)
    assert states(opener) == {1: "retired", 2: "active"}


def test_a_root_left_unused_by_a_crash_is_used_by_the_next_rotation(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    assert keyring.tenant
    left = LocalRoot.add(path, clock(), above=1)
    rotation.rotate(opener, path, at=clock())
    assert LocalRoot.load(path) == left
    with opener.read() as connection:
        roots = connection.execute(select(key_root)).all()
    assert {row.root: row.state for row in roots} == {1: "retired", 2: "active"}


def test_a_key_erased_while_it_is_moved_stays_erased(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    sealed = populate(keyring, opener, 3)
    victim = next(iter(sealed))
    rotation._begin(opener, path, clock())
    custody = Custody(path, LocalRoot.load(path))
    with opener.read() as connection:
        rows = rotation._batch(connection, custody, 1, None, 100)
    with opener.write() as connection:
        keyring.erase(connection, victim)
    with opener.write() as connection:
        rotation._move(connection, custody, rows, 2)
    with opener.read() as connection:
        left = select(key_wrapped.c.wrapped).where(key_wrapped.c.owner == victim)
        assert connection.execute(left).scalar_one() is None
    rotation.rotate(opener, path, at=clock())
    assert states(opener)[1] == "retired"


def test_a_run_that_wakes_up_late_moves_no_key_back(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    sealed = populate(keyring, opener, 3)
    rotation._begin(opener, path, clock())
    custody = Custody(path, LocalRoot.load(path))
    with opener.read() as connection:
        rows = rotation._batch(connection, custody, 1, None, 100)
    rotation.rotate(opener, path, at=clock())
    rotation.rotate(opener, path, at=clock())
    with opener.write() as connection:
        rotation._move(connection, custody, rows, 2)
    assert keks_in_use(opener) == {3}
    assert all_open(keyrings.start(opener, path, create=False, at=clock()), opener, sealed)


def test_a_pending_erasure_moves_too_and_can_still_be_cancelled(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    sealed = populate(keyring, opener, 1)
    (patient,) = sealed
    with opener.write() as connection:
        keyring.suspend(connection, patient)
    rotation.rotate(opener, path, at=clock())
    with opener.write() as connection:
        keyring.reinstate(connection, patient)
    assert all_open(keyring, opener, sealed)


def test_a_broken_key_keeps_its_kek_and_stops_no_other(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock, ticks: Ticks
) -> None:
    sealed = populate(keyring, opener, 9)
    victim = sorted(sealed)[4]
    with opener.write() as connection:
        row = key_wrapped.c.owner == victim
        connection.execute(key_wrapped.update().where(row).values(wrapped=bytes(65)))
    done = rotation.rotate(opener, path, at=clock(), batch=2)
    assert (done.moved, done.broken) == (12, 1)
    assert states(opener) == {1: "retiring", 2: "active"}
    ticks.now += 300
    del sealed[victim]
    assert all_open(keyring, opener, sealed)
    assert rotation.rotate(opener, path, at=clock()).kek == 3  # and it does not block the next one


def test_keys_swapped_between_owners_or_lowered_do_not_unwrap(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock, ticks: Ticks
) -> None:
    sealed = populate(keyring, opener, 2)
    one, other = sealed
    rotation._begin(opener, path, clock())
    with opener.read() as connection:
        taken = select(key_wrapped.c.wrapped).where(key_wrapped.c.owner == other)
        theirs = connection.execute(taken).scalar_one()
        was = connection.execute(select(key_wrapped).where(key_wrapped.c.owner == one)).one()
    changes = {
        "wrapped": theirs, "kek": 2, "key_no": 2, "alg": 2, "use": "house", "owner": new_id(),
    }  # fmt: skip
    for column, value in changes.items():
        ticks.now += 300
        with opener.write() as connection:
            row = key_wrapped.c.owner == one
            connection.execute(key_wrapped.update().where(row).values({column: value}))
        ring = keyrings.start(opener, path, create=False, at=clock())
        for each in (keyring, ring):
            with pytest.raises(SealBroken):
                all_open(each, opener, {one: sealed[one]})
            assert all_open(each, opener, {other: sealed[other]})
        with opener.write() as connection:
            row = key_wrapped.c.owner == (value if column == "owner" else one)
            connection.execute(key_wrapped.update().where(row).values(was._asdict()))
    ticks.now += 300
    assert all_open(keyring, opener, sealed)


def test_a_key_renumbered_together_with_its_record_still_does_not_open(
    keyring: Keyring, opener: Transactions, ticks: Ticks
) -> None:
    sealed = populate(keyring, opener, 2)
    one, other = sealed
    ticks.now += 300
    with opener.write() as connection:
        connection.execute(key_wrapped.update().where(key_wrapped.c.owner == one).values(key_no=9))
    moved = sealed[one][:1] + (9).to_bytes(4, "big") + sealed[one][5:]
    with pytest.raises(SealBroken):
        all_open(keyring, opener, {one: moved})
    with pytest.raises(SealBroken):
        all_open(keyring, opener, {other: sealed[one]})


def test_old_key_tables_restored_after_a_destroyed_root_revive_nobody(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    sealed = populate(keyring, opener, 3)
    victim, *_ = sealed
    tables = (key_wrapped, key_kek, key_root)
    with opener.read() as connection:
        backup = {table: connection.execute(select(table)).mappings().all() for table in tables}
    with opener.write() as connection:
        keyring.erase(connection, victim)
    with pytest.raises(Conflict):
        rotation.destroy(opener, path, 1)
    rotation.rotate(opener, path, at=clock())
    rotation.destroy(opener, path, 1)
    rotation.destroy(opener, path, 1)  # again, as after a crash in between
    with pytest.raises(Conflict):
        rotation.destroy(opener, path, 2)
    assert list(LocalRoot.load(path).roots) == [2]
    assert states(opener) == {1: "destroyed", 2: "active"}
    others = {patient: body for patient, body in sealed.items() if patient != victim}
    assert all_open(keyrings.start(opener, path, create=False, at=clock()), opener, others)
    with opener.write() as connection:  # the thief's, or the careless operator's, restore
        for table in tables:
            connection.execute(table.delete())
            connection.execute(table.insert(), [dict(row) for row in backup[table]])
    with pytest.raises(Exception, match="lacks root key 1"):
        keyrings.start(opener, path, create=False, at=clock())


def test_new_participants_during_rotations_are_never_left_behind(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock
) -> None:
    sealed = populate(keyring, opener, 50)
    stop = threading.Event()
    faults: list[Exception] = []

    def run() -> None:
        try:
            while not stop.is_set():
                sealed.update(populate(keyring, opener, 3))
        except Exception as error:  # noqa: BLE001 (shown by the assertion below)
            faults.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        rotation.rotate(opener, path, at=clock(), batch=20)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert faults == []
    in_use, now = keks_in_use(opener), states(opener)
    assert in_use == {6}
    assert [now[kek] for kek in sorted(now)] == ["retired"] * 5 + ["active"]
    assert all_open(keyrings.start(opener, path, create=False, at=clock()), opener, sealed)


def rotate_for_ever(url: str, path: Path) -> None:
    engine: Engine = engines.build(url)
    opener = Transactions(engine)
    while True:
        rotation.rotate(opener, path, at=Micros(0), batch=50)


def test_killed_anywhere_in_a_rotation_every_key_still_opens(
    keyring: Keyring, opener: Transactions, path: Path, clock: HandClock, database_url: str
) -> None:
    sealed = populate(keyring, opener, 300)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["service.keys.rotation", "service.database.engine"])
    chance = random.Random()  # noqa: S311 (where the kill lands)
    for _ in range(KILLS):
        child = processes.Process(target=rotate_for_ever, args=(database_url, path))
        before = len(states(opener))
        child.start()
        deadline = time.monotonic() + 30
        while len(states(opener)) == before and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.3))
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join(30)
        assert child.exitcode == -signal.SIGKILL
        assert all_open(keyrings.start(opener, path, create=False, at=clock()), opener, sealed)
    rotation.rotate(opener, path, at=clock())
    now = states(opener)
    active = max(now)
    assert keks_in_use(opener) == {active}
    assert {now.pop(active), *now.values()} == {"active", "retired"}
    with opener.read() as connection:
        keys = connection.execute(select(func.count()).select_from(key_wrapped)).scalar_one()
    assert keys == 304
    assert all_open(keyrings.start(opener, path, create=False, at=clock()), opener, sealed)
