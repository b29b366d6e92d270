"""Takes entries from the queue into the tree (audit reference, section 4).

Any number of sequencers may run: one lock picks who works, and the compare-and-set on `ledger_log`
is what makes it right. The queue has no cursor: what commits late is found by the next round.
Junk never stops the log: a bad MAC stays behind, marked; a gap in a stream is sequenced. Either is
attested by an entry of the ledger itself, in the same transaction.
"""

import threading
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import SQLAlchemyError

from service.audit.entry import ORIGIN, Kind
from service.audit.ingest import row, write
from service.audit.intake import Round, Taken, follow, take
from service.audit.log import Ledger
from service.audit.stream import event
from service.audit.tables import (
    ledger_leaf,
    ledger_log,
    ledger_pending,
    ledger_stream,
    ledger_tile,
)
from service.audit.tiles import Tile, extend
from service.audit.tree import Frontier, VerificationError
from service.database.opener import Opener
from service.errors import Conflict, PeernotesError, Tampered
from service.vocabulary import Micros

MANY = 256  # with this many taken, go on at once
ROUND = 0.25  # seconds
LOCK_SPACE = 0x6C_6F_67  # of PostgreSQL's advisory locks

Clock = Callable[[], Micros]

_LOG = select(ledger_log).where(ledger_log.c.log == bindparam("log"))
_TILE = select(ledger_tile.c.hashes).where(
    ledger_tile.c.log == bindparam("log"),
    ledger_tile.c.level == bindparam("level"),
    ledger_tile.c.idx == bindparam("idx"),
)
_TAKE = delete(ledger_pending).where(ledger_pending.c.id == bindparam("b_id"))
_TAKE_MANY = text("DELETE FROM ledger_pending WHERE id = ANY(CAST(:ids AS uuid[]))")
_LEAF = insert(ledger_leaf)
_LEAVES = text(
    "INSERT INTO ledger_leaf (log, seq, entry, leaf_hash) "
    "SELECT CAST(:log AS smallint), CAST(:first AS bigint) + o - 1, e, h "
    "FROM unnest(CAST(:entries AS uuid[]), CAST(:hashes AS bytea[])) WITH ORDINALITY AS a(e, h, o)"
)
_FORGET = delete(ledger_stream).where(ledger_stream.c.stream == bindparam("b_stream"))
_ADVANCE = (
    update(ledger_log)
    .where(and_(ledger_log.c.log == bindparam("b_log"), ledger_log.c.size == bindparam("old")),
           ledger_log.c.state == "open")
    .values(size=bindparam("new"), root=bindparam("b_root"), frontier=bindparam("b_frontier"))
)  # fmt: skip


def sequence(opener: Opener, ledger: Ledger, at: Micros) -> int:
    """One round, one transaction. Returns how many queued entries it settled."""
    with opener.write() as connection:
        if not _alone(connection, ledger):
            return 0
        log = connection.execute(_LOG, {"log": ledger.log}).one_or_none()
        if log is None or log.state != "open":
            raise Tampered("The ledger is not open.")
        found = take(connection, ledger)
        follow(connection, ledger, found)
        settled = len(found.good) + len(found.bad)
        if settled:
            _attest(connection, ledger, at, found)
            _grow(connection, ledger, log.size, log.frontier, found.good)
            _remember(connection, ledger, found)
        return settled


def _alone(connection: Connection, ledger: Ledger) -> bool:
    """A lock that dies with the transaction; on SQLite BEGIN IMMEDIATE is one."""
    if connection.dialect.name != "postgresql":
        return True
    lock = select(func.pg_try_advisory_xact_lock(LOCK_SPACE, ledger.log))
    return bool(connection.execute(lock).scalar_one())


def _attest(connection: Connection, ledger: Ledger, at: Micros, found: Round) -> None:
    """Write down, in the ledger itself, what was wrong with the queue."""
    events = [
        event(Kind.LEDGER_GAP, at, ("entry", taken.id), ("expected", expected))
        for taken, expected in found.gaps
    ]
    if found.bad:
        count = ("count", len(found.bad))
        events.append(event(Kind.LEDGER_REJECT, at, count, ("entry", found.bad[0])))
    if not events:
        return
    rows = [row(ledger, each) for each in events]
    write(connection, ledger, rows, queue=False)
    found.good += [Taken(r.entry.id, r.leaf_hash, r.entry.kind, None) for r in rows]


def _grow(
    connection: Connection, ledger: Ledger, size: int, frontier: bytes, good: Sequence[Taken]
) -> None:
    """Leaves, tiles, then the log's size and root, if it still has the size we started from."""
    if not good:
        return
    hashes = [taken.leaf_hash for taken in good]
    tree = Frontier.from_bytes(size, frontier)
    for each in hashes:
        tree.append(each)

    def partial(tile: Tile) -> bytes:
        place = {"log": ledger.log, "level": tile.level, "idx": tile.n}
        held: bytes = connection.execute(_TILE, place).scalar_one()
        return held[: tile.width * len(ORIGIN)]

    changed = extend(size, hashes, partial)
    _insert_leaves(connection, ledger, size, good)
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    tiles = upsert(ledger_tile)
    connection.execute(
        tiles.on_conflict_do_update(
            index_elements=["log", "level", "idx"], set_={"hashes": tiles.excluded.hashes}
        ),
        [
            {"log": ledger.log, "level": tile.level, "idx": tile.n, "hashes": data}
            for tile, data in changed.items()
        ],
    )
    moved = connection.execute(
        _ADVANCE,
        {"b_log": ledger.log, "old": size, "new": tree.size, "b_root": tree.root(),
         "b_frontier": tree.to_bytes()},
    )  # fmt: skip
    if moved.rowcount != 1:
        raise Conflict("Another sequencer was faster.")


def _insert_leaves(
    connection: Connection, ledger: Ledger, size: int, good: Sequence[Taken]
) -> None:
    if connection.dialect.name == "postgresql":
        ids = [taken.id for taken in good]
        hashes = [taken.leaf_hash for taken in good]
        values = {"log": ledger.log, "first": size, "entries": ids, "hashes": hashes}
        connection.execute(_LEAVES, values)
        connection.execute(_TAKE_MANY, {"ids": ids})
        return
    connection.execute(
        _LEAF,
        [
            {"log": ledger.log, "seq": seq, "entry": taken.id, "leaf_hash": taken.leaf_hash}
            for seq, taken in enumerate(good, size)
        ],
    )
    connection.execute(_TAKE, [{"b_id": taken.id} for taken in good])


def _remember(connection: Connection, ledger: Ledger, found: Round) -> None:
    upsert = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    streams = upsert(ledger_stream)
    heads = [
        {"stream": stream, "log": ledger.log, "n": n, "leaf_hash": leaf}
        for stream, (n, leaf) in found.heads.items()
    ]
    if heads:
        connection.execute(
            streams.on_conflict_do_update(
                index_elements=["stream"],
                set_={"n": streams.excluded.n, "leaf_hash": streams.excluded.leaf_hash},
            ),
            heads,
        )
    if found.closed:
        connection.execute(_FORGET, [{"b_stream": stream} for stream in found.closed])


class Sequencer:
    """A thread that sequences every 250 ms, or without pause while much is queued."""

    def __init__(self, opener: Opener, ledger: Ledger, clock: Clock) -> None:
        self._opener, self._ledger, self._clock = opener, ledger, clock
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-sequence", daemon=True)
        self.healthy = True

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            settled = 0
            try:
                settled = sequence(self._opener, self._ledger, self._clock())
                self.healthy = True
            except Conflict:
                pass  # the round of another one counts
            except (SQLAlchemyError, PeernotesError, VerificationError, OSError):
                self.healthy = False  # readiness shows it; the queue keeps what was not settled
            if settled < MANY:
                self._closing.wait(ROUND)
