"""Measures the ledger on its own: canonicalise, append in both lanes, sequence, sign.

    python -m bench.ledger DATABASE_URL

An empty database is expected. The load generator and the database share the machine.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from service.audit.append import GroupCommit, append
from service.audit.entry import Entry, Kind, Outcome, Position, Touched, canonical, parse
from service.audit.log import Ledger, initialise
from service.audit.notary import Notary, create
from service.audit.sequencer import sequence
from service.database import engine as engines
from service.database.ids import uuid7
from service.database.metadata import metadata
from service.database.transactions import Transactions
from service.vocabulary import Action, EntryId, Micros, PatientId

ORIGIN = "bench.example/11111111-1111-4111-8111-111111111111/1"
ID = "22222222-2222-4222-8222-222222222222"
LEDGER = Ledger(1, bytes(32))


def clock() -> Micros:
    return Micros(time.time_ns() // 1000)


def entry() -> Entry:
    at = clock()
    return Entry(
        id=EntryId(uuid7(at)), at=at, kind=Kind.USE, action=Action.READ, outcome=Outcome.SUCCESS,
        act=ID, agent=ID, client="ehr", role="ehr-system", organisation=ID, purpose="TREAT",
        patient=PatientId(ID), touched=(Touched("Encounter", ID, 1),), basis="inside", reason="",
    )  # fmt: skip


def timed(what: str, count: int, work: Callable[[], object]) -> None:
    """Throughput as it was, and this process's CPU time, which a busy machine disturbs less."""
    began, used = time.perf_counter(), time.process_time()
    work()
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    print(f"{what:<40} {count / seconds:>9,.0f} /s {cpu / count * 1e6:>9.1f} us CPU here")


def lane_r(group: GroupCommit, callers: int, count: int, each: int) -> None:
    def call() -> None:
        for _ in range(count // callers // each):
            group.submit([entry() for _ in range(each)])

    def all_callers() -> None:
        threads = [threading.Thread(target=call) for _ in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    timed(f"lane R, {callers} callers, {each} entries each", count, all_callers)


def lane_w(opener: Transactions, count: int) -> None:
    def with_entry() -> None:
        for _ in range(count):
            with opener.write() as connection:
                connection.execute(text("INSERT INTO bench_row (n) VALUES (1)"))
                append(connection, LEDGER, [entry()])

    def without() -> None:
        for _ in range(count):
            with opener.write() as connection:
                connection.execute(text("INSERT INTO bench_row (n) VALUES (1)"))

    timed("a write without an entry", count, without)
    timed("the same write with its entry, lane W", count, with_entry)


def drain(opener: Transactions) -> int:
    total = 0
    while settled := sequence(opener, LEDGER, clock()):
        total += settled
    return total


def main(url: str) -> None:
    engine, alone = engines.build(url), engines.build(url, pool_size=1)
    metadata.create_all(engine)
    opener = Transactions(engine)
    with opener.write() as connection:
        connection.execute(text("CREATE TABLE bench_row (n integer)"))
        initialise(connection, ORIGIN, clock())
    sample, position = entry(), Position(ID, 7, bytes(32))
    leaf = canonical(sample, position)
    print(f"a leaf of {len(leaf)} bytes, {engine.dialect.name}")
    timed("canonical", 50_000, lambda: [canonical(sample, position) for _ in range(50_000)])
    timed("parse, strictly", 50_000, lambda: [parse(leaf) for _ in range(50_000)])
    group = GroupCommit(Transactions(alone, opener.writer), LEDGER, clock)
    group.start()
    for callers, count, each in ((1, 500, 1), (16, 8_000, 1), (40, 8_000, 1), (128, 12_800, 1),
                                 (40, 20_000, 10), (4, 20_000, 500)):  # fmt: skip
        lane_r(group, callers, count, each)
    lane_w(opener, 500)
    group.close()
    with opener.read() as connection:
        waiting = connection.execute(text("SELECT count(*) FROM ledger_pending")).scalar_one()
    timed("sequence", waiting, lambda: drain(opener))
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory) / "notary"
        create(home, ORIGIN)
        notary = Notary(opener, LEDGER, home, clock)
        timed("notary: check and sign", waiting, notary.step)
    engine.dispose()
    alone.dispose()


if __name__ == "__main__":
    main(sys.argv[1])
