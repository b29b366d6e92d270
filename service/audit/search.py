"""Finds entries, and hands out what proves them: leaves, tiles, checkpoints, proofs.

The columns only find; what is returned is parsed from the leaf and must answer the question too,
so an edited copy shows as Tampered instead of another person's entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, bindparam, func, select, tuple_

from service.audit.checkpoint import Proof
from service.audit.entry import Entry, Kind, Outcome, Position, parse
from service.audit.tables import (
    ledger_checkpoint,
    ledger_entry,
    ledger_leaf,
    ledger_log,
    ledger_pending,
    ledger_tile,
)
from service.audit.tiles import ENTRIES, Tile, TileTree, encode_bundle, parse_path
from service.audit.tree import HASH_SIZE, TILE_WIDTH, VerificationError, inclusion_proof
from service.errors import Tampered
from service.vocabulary import Action, EntryId, Micros, PatientId

MOST = 1_000


@dataclass(frozen=True, slots=True)
class Criteria:
    """What to look for, all of it; newest first. `before` is the place of the last one seen."""

    patient: PatientId | None = None
    agent: str | None = None
    action: Action | None = None
    kind: Kind | None = None
    outcome: Outcome | None = None
    since: Micros | None = None
    until: Micros | None = None  # exclusive
    limit: int = 50
    before: tuple[Micros, EntryId] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An entry, and where it stands: `seq` is None while it waits for the sequencer."""

    entry: Entry
    position: Position | None
    seq: int | None


_ENTRIES = select(
    ledger_entry.c.id, ledger_entry.c.recorded, ledger_entry.c.leaf, ledger_leaf.c.seq
).outerjoin(ledger_leaf, ledger_leaf.c.entry == ledger_entry.c.id)
_BY_ID = _ENTRIES.where(ledger_entry.c.id == bindparam("id"))
_LEAF = select(ledger_entry.c.leaf).where(ledger_entry.c.id == bindparam("id"))
_DISCLOSURES = _ENTRIES.where(
    ledger_entry.c.patient == bindparam("patient"),
    ledger_entry.c.recorded >= bindparam("since"),
    ledger_entry.c.recorded < bindparam("until"),
    ledger_entry.c.kind == str(Kind.DISCLOSURE),
    ledger_entry.c.outcome == int(Outcome.SUCCESS),
).order_by(ledger_entry.c.recorded, ledger_entry.c.id)
_CHECKPOINT = (
    select(ledger_checkpoint.c.log, ledger_checkpoint.c.size, ledger_checkpoint.c.note)
    .order_by(ledger_checkpoint.c.log.desc(), ledger_checkpoint.c.size.desc())
    .limit(1)
)
_CHECKPOINT_OF = _CHECKPOINT.where(ledger_checkpoint.c.log == bindparam("log"))
_PLACE = select(ledger_leaf.c.log, ledger_leaf.c.seq).where(ledger_leaf.c.entry == bindparam("id"))
_LOG = select(ledger_log.c.log, ledger_log.c.min_index).order_by(ledger_log.c.log.desc()).limit(1)
_TILE = select(ledger_tile.c.hashes).where(
    ledger_tile.c.log == bindparam("log"),
    ledger_tile.c.level == bindparam("level"),
    ledger_tile.c.idx == bindparam("idx"),
)
_LEAVES = (
    select(ledger_entry.c.leaf)
    .join(ledger_leaf, ledger_leaf.c.entry == ledger_entry.c.id)
    .where(ledger_leaf.c.log == bindparam("log"), ledger_leaf.c.seq >= bindparam("first"),
           ledger_leaf.c.seq < bindparam("end"))
    .order_by(ledger_leaf.c.seq)
)  # fmt: skip


def find(connection: Connection, criteria: Criteria) -> list[Found]:
    """The newest entries that meet the criteria; at most 1,000."""
    c = ledger_entry.c
    statement = _ENTRIES
    equals = (
        (c.patient, criteria.patient), (c.agent, criteria.agent),
        (c.action, criteria.action and str(criteria.action)),
        (c.kind, criteria.kind and str(criteria.kind)),
        (c.outcome, None if criteria.outcome is None else int(criteria.outcome)),
    )  # fmt: skip
    for column, value in equals:
        if value is not None:
            statement = statement.where(column == value)
    if criteria.since is not None:
        statement = statement.where(c.recorded >= criteria.since)
    if criteria.until is not None:
        statement = statement.where(c.recorded < criteria.until)
    if criteria.before is not None:
        statement = statement.where(tuple_(c.recorded, c.id) < criteria.before)
    newest = statement.order_by(c.recorded.desc(), c.id.desc())
    rows = connection.execute(newest.limit(min(criteria.limit, MOST)))
    found = [_found(row) for row in rows]
    if not all(_meets(each.entry, criteria) for each in found):
        raise Tampered("A ledger entry's copies differ from its leaf.")
    return found


def by_id(connection: Connection, entry_id: EntryId) -> Found | None:
    row = connection.execute(_BY_ID, {"id": entry_id}).one_or_none()
    return None if row is None else _found(row)


def disclosures(
    connection: Connection, patient: PatientId, since: Micros, until: Micros
) -> list[Entry]:
    """What went outside about a participant, oldest first: 45 CFR 164.528, 42 CFR 2.25."""
    period = {"patient": patient, "since": since, "until": until}
    entries = [_found(row).entry for row in connection.execute(_DISCLOSURES, period)]
    if any(e.patient != patient or e.kind != Kind.DISCLOSURE for e in entries):
        raise Tampered("A ledger entry's copies differ from its leaf.")
    return entries


def leaf(connection: Connection, entry_id: EntryId) -> bytes | None:
    return connection.execute(_LEAF, {"id": entry_id}).scalar_one_or_none()


def checkpoint(connection: Connection) -> str | None:
    """The newest signed checkpoint of the newest generation."""
    newest = connection.execute(_CHECKPOINT).one_or_none()
    return None if newest is None else str(newest.note)


def tile(connection: Connection, level: int, n: int, width: int = TILE_WIDTH) -> bytes | None:
    """A hash tile; a partial one is a prefix of what has grown since."""
    log = connection.execute(_LOG).one_or_none()
    return None if log is None else _tile(connection, log.log, Tile(level, n, width))


def bundle(connection: Connection, n: int, width: int = TILE_WIDTH) -> bytes | None:
    """The entries under a level 0 tile, each behind its length; None once they are pruned."""
    log = connection.execute(_LOG).one_or_none()
    first = n * TILE_WIDTH
    if log is None or first < log.min_index or not 0 < width <= TILE_WIDTH:
        return None
    span = {"log": log.log, "first": first, "end": first + width}
    leaves: Sequence[bytes] = connection.execute(_LEAVES, span).scalars().all()
    return encode_bundle(leaves) if len(leaves) == width else None


def served(connection: Connection, path: str) -> bytes | None:
    """The bytes at a path of C2SP tlog-tiles: `checkpoint`, `tile/...`, `tile/entries/...`."""
    if path == "checkpoint":
        note = checkpoint(connection)
        return None if note is None else note.encode()
    try:
        wanted = parse_path(path)
    except VerificationError:
        return None
    if wanted.level == ENTRIES:
        return bundle(connection, wanted.n, wanted.width)
    return tile(connection, wanted.level, wanted.n, wanted.width)


def proof(connection: Connection, entry_id: EntryId) -> str | None:
    """C2SP tlog-proof of an entry under the newest checkpoint; None until one covers it."""
    place = connection.execute(_PLACE, {"id": entry_id}).one_or_none()
    if place is None:
        return None
    signed = connection.execute(_CHECKPOINT_OF, {"log": place.log}).one_or_none()
    if signed is None or signed.size <= place.seq:
        return None

    def read(wanted: Tile) -> bytes:
        return _tile(connection, place.log, wanted) or b""

    hashes = inclusion_proof(place.seq, signed.size, TileTree(read, signed.size).node)
    return Proof(place.seq, hashes, signed.note).text()


def _tile(connection: Connection, log: int, wanted: Tile) -> bytes | None:
    place = {"log": log, "level": wanted.level, "idx": wanted.n}
    held: bytes | None = connection.execute(_TILE, place).scalar_one_or_none()
    size = wanted.width * HASH_SIZE
    return None if held is None or len(held) < size or size <= 0 else held[:size]


def _found(row: Row[str, int, bytes, int | None]) -> Found:
    entry, position = parse(row.leaf)
    if (entry.id, entry.at) != (row.id, row.recorded):
        raise Tampered("A ledger entry's copies differ from its leaf.")
    return Found(entry, position, row.seq)


def _meets(entry: Entry, criteria: Criteria) -> bool:
    pairs = (
        (criteria.patient, entry.patient), (criteria.agent, entry.agent),
        (criteria.action, entry.action), (criteria.kind, entry.kind),
        (criteria.outcome, entry.outcome),
    )  # fmt: skip
    return all(wanted is None or wanted == actual for wanted, actual in pairs)


def oldest_pending(connection: Connection) -> Micros | None:
    """When the entry that has waited longest for the tree was recorded; None if none waits."""
    oldest = select(func.min(ledger_entry.c.recorded)).join(
        ledger_pending, ledger_pending.c.id == ledger_entry.c.id
    )
    found: int | None = connection.execute(oldest.where(~ledger_pending.c.bad)).scalar_one()
    return None if found is None else Micros(found)
