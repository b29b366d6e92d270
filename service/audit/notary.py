"""Signs the log's growth, after making sure of every new entry itself (audit reference, section 5).

One step: (1) compare the log with memory; (2) re-hash every new entry, check its MAC, the copies
beside it and its stream; (3) build the new root from memory's own tree, so that consistency is not
believed but made; (4) compare the tiles that are published with it; (5) remember, durably;
(6) sign, store. Killed between (5) and (6), the next step signs the same bytes again.
Whatever contradicts memory or itself freezes the log: nothing more is sequenced or signed.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from service.audit.checkpoint import Checkpoint, sign
from service.audit.compare import authentic, sequenced
from service.audit.entry import ORIGIN, Kind
from service.audit.log import Ledger
from service.audit.memory import Memory, create, held, load, load_key, save, verifier_key
from service.audit.tables import ledger_checkpoint, ledger_log, ledger_tile
from service.audit.tiles import Tile, TileTree, extend
from service.audit.tree import (
    HASH_SIZE,
    VerificationError,
    consistency_proof,
    tree_root,
    verify_consistency,
)
from service.database.opener import Opener
from service.errors import PeernotesError, Tampered
from service.vocabulary import Micros

__all__ = ["Notary", "create", "verifier_key"]

ROUND = 1.0  # seconds: at most one checkpoint each

Clock = Callable[[], Micros]

_LOG = select(ledger_log).where(ledger_log.c.log == bindparam("log"))
_TILE = select(ledger_tile.c.hashes).where(
    ledger_tile.c.log == bindparam("log"),
    ledger_tile.c.level == bindparam("level"),
    ledger_tile.c.idx == bindparam("idx"),
)
_NOTE = select(ledger_checkpoint.c.note).where(
    ledger_checkpoint.c.log == bindparam("log"), ledger_checkpoint.c.size == bindparam("size")
)
_FREEZE = update(ledger_log).where(ledger_log.c.log == bindparam("b_log")).values(state="frozen")


@dataclass(slots=True)
class _Growth:
    """What the new entries amount to, beside the memory they extend."""

    hashes: list[bytes] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)  # entries that do not hang on their stream
    attested: set[str] = field(default_factory=set)  # of which the sequencer told us


class Notary:
    """`step` by hand, or a thread; its directory and key belong to it alone."""

    def __init__(self, opener: Opener, ledger: Ledger, directory: Path, clock: Clock) -> None:
        self._opener, self._ledger, self._clock = opener, ledger, clock
        self._directory = directory
        self._key = load_key(directory)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger-notary", daemon=True)
        self.healthy = True
        self.alarm = ""  # why it refused, in words that name entries and nothing else

    def step(self) -> Checkpoint | None:
        """Sign what has grown since the last step, if anything has. Tampered freezes the log."""
        with held(self._directory):
            memory = load(self._directory)
            try:
                with self._opener.read() as connection:
                    signed = self._examined(connection, memory)
            except (Tampered, VerificationError) as error:
                self._refuse(str(error))
                raise Tampered(str(error)) from error
            if signed is None:
                return None
            save(self._directory, memory)  # durable from here: this size has this root, for ever
            self._publish(signed)
            return signed

    def _examined(self, connection: Connection, memory: Memory) -> Checkpoint | None:
        """Steps 1 to 4; moves `memory` to the log's size, and says what to sign."""
        log = connection.execute(_LOG, {"log": self._ledger.log}).one_or_none()
        old, old_root = memory.tree.size, memory.tree.root()
        if log is None or log.origin != memory.origin:
            raise Tampered("The log is not the one this notary signs for.")
        if log.state == "frozen":
            raise Tampered("The log is frozen.")
        if log.size < old:
            raise Tampered(f"The log has {log.size} entries; {old} were signed.")
        growth = self._new_entries(connection, memory, log.size)
        _agree(log.root, memory.tree.root(), "The log's root is not that of its entries.")
        _agree(log.frontier, memory.tree.to_bytes(), "The log's frontier is not its entries'.")
        if not growth.broken <= growth.attested:
            raise Tampered("A stream has a gap that the sequencer did not tell of.")
        if growth.hashes:
            self._tiles(connection, old, log.size, growth.hashes, (old_root, memory.tree.root()))
        place = {"log": self._ledger.log, "size": log.size}
        if log.size == 0 or (log.size == old and connection.execute(_NOTE, place).first()):
            return None
        return Checkpoint(memory.origin, log.size, memory.tree.root())

    def _new_entries(self, connection: Connection, memory: Memory, size: int) -> _Growth:
        growth = _Growth()
        for row in sequenced(connection, self._ledger, memory.tree.size, size):
            if row.seq != memory.tree.size:
                raise Tampered(f"Entry {memory.tree.size} is missing.")
            entry, position = authentic(self._ledger, row)
            if position is not None:
                last, prev = memory.streams.get(position.stream, (-1, ORIGIN))
                if (position.n, position.prev) != (last + 1, prev):
                    growth.broken.add(entry.id)
                memory.follow(position.stream, position.n, row.leaf_hash)
                if entry.kind is Kind.STREAM_CLOSE:
                    del memory.streams[position.stream]
            if entry.kind is Kind.LEDGER_GAP:
                growth.attested.add(str(dict(entry.details).get("entry")))
            memory.tree.append(row.leaf_hash)
            growth.hashes.append(row.leaf_hash)
        if memory.tree.size != size:
            raise Tampered(f"Entry {memory.tree.size} is missing.")
        return growth

    def _tiles(
        self,
        connection: Connection,
        old: int,
        size: int,
        hashes: list[bytes],
        roots: tuple[bytes, bytes],
    ) -> None:
        """The published tiles give both roots, a proof between them, and hold what they should."""

        def read(wanted: Tile) -> bytes:
            place = {"log": self._ledger.log, "level": wanted.level, "idx": wanted.n}
            data: bytes = connection.execute(_TILE, place).scalar_one_or_none() or b""
            return data[: wanted.width * HASH_SIZE]

        before, now = TileTree(read, old), TileTree(read, size)
        _agree(tree_root(old, before.node), roots[0], "The tiles do not give the signed root.")
        _agree(tree_root(size, now.node), roots[1], "The tiles do not give the log's root.")
        proof = consistency_proof(old, size, now.node)
        verify_consistency(old, size, *roots, proof)
        for tile, data in extend(old, hashes, read).items():
            _agree(read(tile), data, f"{tile.path} does not hold its hashes.")

    def _publish(self, checkpoint: Checkpoint) -> None:
        note = sign(checkpoint, self._key)
        place = {"log": self._ledger.log, "size": checkpoint.size}
        try:
            with self._opener.write() as connection:
                connection.execute(
                    insert(ledger_checkpoint).values(note=note, at=self._clock(), **place)
                )
        except IntegrityError as error:
            with self._opener.read() as connection:
                if connection.execute(_NOTE, place).scalar_one_or_none() == note:
                    return
            self._refuse("A checkpoint is stored that this notary did not sign.")
            raise Tampered(self.alarm) from error

    def _refuse(self, alarm: str) -> None:
        self.alarm, self.healthy = self.alarm or alarm, False
        with self._opener.write() as connection:
            connection.execute(_FREEZE, {"b_log": self._ledger.log})

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.step()
                self.healthy = True
            except Tampered:
                self.healthy = False
                return  # for people: nothing it could do by itself would be right
            except (SQLAlchemyError, PeernotesError, OSError):
                self.healthy = False
            self._closing.wait(ROUND)


def _agree(found: bytes, expected: bytes, otherwise: str) -> None:
    if found != expected:
        raise Tampered(otherwise)
