"""What the ledger has taken is durable when its caller hears so; what it cannot take is refused."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hands import ORIGIN, Log, Make
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError

from service.audit import groupcommit
from service.audit.append import GroupCommit, append
from service.audit.entry import Entry, Kind, parse
from service.audit.log import initialise
from service.database.transactions import Transactions
from service.errors import Malformed, Unavailable
from service.vocabulary import Micros


@pytest.fixture
def group(log: Log) -> Iterator[GroupCommit]:
    group = log.group()
    group.start()
    yield group
    group.close()
    assert not group._thread.is_alive()


def leaves(log: Log) -> list[Entry]:
    rows = log.sql("SELECT leaf FROM ledger_entry ORDER BY stream, n")
    return [parse(row.leaf)[0] for row in rows]


def stored(log: Log, entry: Entry) -> bool:
    return entry in leaves(log)


class Broken(Transactions):
    """A database that answers, until a test breaks it: before the commit, or just after it."""

    broken: str = ""

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self.broken == "before":
            raise Unavailable("down")
        with super().write() as connection:
            yield connection
        if self.broken == "after":
            raise Unavailable("the answer was lost")


def test_an_entry_of_lane_w_lives_and_dies_with_the_callers_transaction(
    log: Log, make: Make
) -> None:
    kept, lost = make(), make()
    log.write(kept)
    with pytest.raises(RuntimeError), log.opener.write() as connection:
        append(connection, log.ledger, [lost])
        raise RuntimeError
    assert stored(log, kept)
    assert not stored(log, lost)
    assert log.one("SELECT count(*) FROM ledger_pending") == 1


def test_lane_w_adds_at_most_two_statements_to_a_write(log: Log, make: Make) -> None:
    seen: list[str] = []
    with log.opener.write() as connection:
        event.listen(connection, "before_cursor_execute", lambda *a: seen.append(a[2]))
        append(connection, log.ledger, [make(), make()])
    assert len(seen) <= 2


def test_submit_returns_when_the_entries_are_durable(
    log: Log, make: Make, group: GroupCommit
) -> None:
    entries = [make() for _ in range(50)]
    group.submit(entries)
    assert all(stored(log, entry) for entry in entries)
    assert group.healthy


def test_many_callers_share_a_commit(log: Log, make: Make, group: GroupCommit) -> None:
    entries = [make() for _ in range(200)]
    threads = [threading.Thread(target=group.submit, args=([e],)) for e in entries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {e.id for e in entries} <= {e.id for e in leaves(log)}


def test_a_stream_opens_beats_and_closes_without_a_gap(
    log: Log, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groupcommit, "BEAT", 0.05)
    group = log.group()
    group.start()
    group.acknowledge(log.write(make(), make()))
    group.submit([make()])
    time.sleep(0.2)
    group.close()
    rows = log.sql("SELECT leaf FROM ledger_entry WHERE stream IS NOT NULL ORDER BY n")
    parsed = [parse(row.leaf) for row in rows]
    assert [p.n for _, p in parsed if p] == list(range(len(parsed)))
    assert parsed[0][0].kind is Kind.STREAM_OPEN
    assert parsed[-1][0].kind is Kind.STREAM_CLOSE
    beats = [dict(e.details) for e, _ in parsed if e.kind is Kind.STREAM_BEAT]
    assert sum(int(beat["count"]) for beat in beats) == 2


def test_without_a_database_the_caller_is_refused_and_later_served(log: Log, make: Make) -> None:
    opener = Broken(log.opener._engine, log.opener.writer)
    group = GroupCommit(opener, log.ledger, log.clock)
    group.start()
    group.submit([make()])
    opener.broken = "before"
    with pytest.raises(Unavailable):
        group.submit([make()])
    assert not group.healthy
    opener.broken = ""
    after = make()
    group.submit([after])
    assert stored(log, after)
    assert group.healthy
    group.close()


@pytest.mark.parametrize("how", ["before", "after"])
def test_a_stream_whose_end_is_unknown_is_named_by_the_next(log: Log, make: Make, how: str) -> None:
    opener = Broken(log.opener._engine, log.opener.writer)
    group = GroupCommit(opener, log.ledger, log.clock)
    group.start()
    group.submit([make()])
    old = group._stream
    opener.broken = how
    with pytest.raises(Unavailable):
        group.submit([make()])
    opener.broken = ""
    group.submit([make()])
    group.close()
    openings = [dict(e.details) for e in leaves(log) if e.kind is Kind.STREAM_OPEN]
    assert {"predecessor": old.id, "acknowledged": 1, "tried": 2} in openings
    log.sequence()
    assert log.one("SELECT count(*) FROM ledger_pending") == 0
    assert not [e for e in leaves(log) if e.kind is Kind.LEDGER_GAP]


def test_writes_acknowledged_during_a_failure_are_named_by_a_later_beat(
    log: Log, make: Make
) -> None:
    opener = Broken(log.opener._engine, log.opener.writer)
    group = GroupCommit(opener, log.ledger, log.clock)
    group.start()
    group.submit([make()])
    group.acknowledge(log.write(make()))
    opener.broken = "before"
    with pytest.raises(Unavailable):
        group.submit([make()])
    opener.broken = ""
    group.submit([make()])
    group.close()
    beats = [dict(e.details) for e in leaves(log) if e.kind is Kind.STREAM_BEAT]
    assert sum(int(beat["count"]) for beat in beats) == 1


def test_an_entry_without_a_canonical_form_fails_alone(
    log: Log, make: Make, group: GroupCommit
) -> None:
    with pytest.raises(Malformed):
        group.submit([make(), make(reason="\u00e9")])
    good = make()
    group.submit([good])
    assert stored(log, good)
    group.close()
    log.sequence()
    assert not [e for e in leaves(log) if e.kind is Kind.LEDGER_GAP]


def test_a_full_queue_refuses_at_once(log: Log, make: Make) -> None:
    group = log.group()
    group.start()
    group.submit([make()])
    with log.opener.write() as connection:
        lock(connection)
        flood = threading.Thread(target=refused, args=(group, [make() for _ in range(10)]))
        flood.start()
        time.sleep(0.1)  # the writer thread has taken the flood, and waits for the lock
        queue = threading.Thread(target=refused, args=(group, [make()] * groupcommit.MOST_QUEUED))
        queue.start()
        time.sleep(0.1)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="full"):
            group.submit([make()])
        assert time.monotonic() - began < 0.5
        flood.join()
        queue.join()
    group._queue.clear()  # thousands of the same entry: they served their purpose
    group.close()


def test_a_lock_makes_the_ledger_unavailable_not_slow(log: Log, make: Make) -> None:
    group = log.group()
    group.start()
    group.submit([make()])
    with log.opener.write() as connection:
        lock(connection)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            group.submit([make()])
        assert time.monotonic() - began < 3
        time.sleep(0.1)
        assert not group.healthy
    group.submit([make()])
    group.close()


def lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # SQLite's writer is alone as it is
        connection.execute(text("LOCK TABLE ledger_entry IN EXCLUSIVE MODE"))


def refused(group: GroupCommit, entries: list[Entry]) -> None:
    with pytest.raises(Unavailable):
        group.submit(entries)


def test_a_closed_ledger_refuses(log: Log, make: Make) -> None:
    group = log.group()
    with pytest.raises(Unavailable):
        group.submit([make()])
    group.start()
    group.close()
    with pytest.raises(Unavailable):
        group.submit([make()])


@pytest.mark.parametrize(
    "statement", ["UPDATE ledger_entry SET agent = ''", "DELETE FROM ledger_entry"]
)
def test_entries_are_append_only(log: Log, make: Make, statement: str) -> None:
    log.write(make())
    with pytest.raises(DBAPIError, match="append-only"), log.opener.write() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("origin", ["x", "host/not-a-tenant/1", f"{ORIGIN}/2", "h/\u00e9/1"])
def test_an_origin_has_its_form(
    opener: Transactions, clock: Callable[[], Micros], origin: str
) -> None:
    with pytest.raises(Malformed), opener.write() as connection:
        initialise(connection, origin, clock())
