"""All parts of a ledger over one database, worked by hand; and an administrator's hands on it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from service.audit.append import GroupCommit, append
from service.audit.checkpoint import Checkpoint
from service.audit.entry import Entry
from service.audit.log import Ledger
from service.audit.notary import Notary
from service.audit.sequencer import sequence
from service.audit.tiles import Tile, TileTree, extend
from service.audit.tree import Frontier, leaf_hash, tree_root
from service.database.transactions import Transactions
from service.vocabulary import Micros, PatientId

ORIGIN = "log.example/11111111-1111-4111-8111-111111111111/1"
PATIENT = PatientId("22222222-2222-4222-8222-222222222222")
STAFF = "33333333-3333-4333-8333-333333333333"

Make = Callable[..., Entry]


@dataclass
class Log:
    """All parts of the ledger over one database, worked by hand."""

    opener: Transactions
    ledger: Ledger
    clock: Callable[[], Micros]
    directory: Path
    notary: Notary

    def write(self, *entries: Entry) -> list[bytes]:
        with self.opener.write() as connection:
            return append(connection, self.ledger, entries)

    def sequence(self) -> int:
        return sequence(self.opener, self.ledger, self.clock())

    def sign(self) -> Checkpoint | None:
        self.sequence()
        return self.notary.step()

    def group(self) -> GroupCommit:
        return GroupCommit(self.opener, self.ledger, self.clock)

    def sql(self, statement: str, **values: object) -> list[Any]:
        """What a database administrator may do; triggers are switched off for it."""
        with self.opener.write() as connection:
            freely(connection)
            result = connection.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    def one(self, statement: str, **values: object) -> Any:
        return self.sql(statement, **values)[0][0]

    @property
    def sqlite(self) -> bool:
        with self.opener.read() as connection:
            return connection.dialect.name == "sqlite"


def freely(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ALTER TABLE ledger_entry DISABLE TRIGGER ALL")
    else:
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS ledger_entry_update")
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS ledger_entry_delete")


def rebuild(log: Log, hashes: list[bytes]) -> None:
    """A forger with all of SQL: another tree over these leaf hashes, right in every part."""
    tree = Frontier()
    for each in hashes:
        tree.append(each)
    log.sql("DELETE FROM ledger_tile")
    for tile, data in extend(0, hashes, lambda _: b"").items():
        log.sql(
            "INSERT INTO ledger_tile VALUES (1, :level, :idx, :data)",
            level=tile.level, idx=tile.n, data=data,
        )  # fmt: skip
    log.sql("DELETE FROM ledger_leaf WHERE seq >= :size", size=len(hashes))
    for seq, each in enumerate(hashes):
        log.sql("UPDATE ledger_leaf SET leaf_hash = :h WHERE seq = :s", h=each, s=seq)
    log.sql(
        "UPDATE ledger_log SET size = :size, root = :root, frontier = :frontier",
        size=tree.size, root=tree.root(), frontier=tree.to_bytes(),
    )  # fmt: skip


def in_order(log: Log) -> list[bytes]:
    """The leaves in the order of the tree; seq is contiguous and all parts agree."""
    rows = log.sql(
        "SELECT l.seq, l.leaf_hash, e.leaf FROM ledger_leaf l JOIN ledger_entry e ON e.id = l.entry"
        " ORDER BY l.seq"
    )
    assert [r.seq for r in rows] == list(range(len(rows)))
    assert [r.leaf_hash for r in rows] == [leaf_hash(r.leaf) for r in rows]
    [head] = log.sql("SELECT size, root, frontier FROM ledger_log")
    tree = Frontier()
    for r in rows:
        tree.append(r.leaf_hash)
    assert (head.size, head.root, head.frontier) == (len(rows), tree.root(), tree.to_bytes())
    tiles = {(t.level, t.idx): t.hashes for t in log.sql("SELECT * FROM ledger_tile")}

    def read(tile: Tile) -> bytes:
        return tiles[tile.level, tile.n][: tile.width * 32]

    assert tree_root(len(rows), TileTree(read, len(rows)).node) == tree.root()
    level0 = b"".join(tiles[level, n] for level, n in sorted(tiles) if level == 0)
    assert level0 == b"".join(r.leaf_hash for r in rows)
    return [r.leaf for r in rows]
