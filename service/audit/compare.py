"""Compares the database with the log: step 5 of verifying (audit reference, section 10).

The tree proves the leaves. Proved here is what the tree does not hold: that each leaf was written
by the service, that the copies beside it say the same, and that no entry waits outside the tree.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from service.audit.entry import Entry, Position, parse
from service.audit.log import Ledger
from service.audit.tables import ledger_entry, ledger_leaf, ledger_log, ledger_pending
from service.audit.tree import leaf_hash
from service.errors import Tampered
from service.vocabulary import Micros

AT_ONCE = 2_048  # rows held in memory
LATE = 60_000_000  # microseconds that an entry may wait for the sequencer

_SIZE = select(ledger_log.c.size).where(ledger_log.c.log == bindparam("log"))
_SEQUENCED = (
    select(ledger_leaf.c.seq, ledger_leaf.c.entry, ledger_leaf.c.leaf_hash, ledger_entry)
    .outerjoin(ledger_entry, ledger_entry.c.id == ledger_leaf.c.entry)
    .where(ledger_leaf.c.log == bindparam("log"), ledger_leaf.c.seq >= bindparam("first"),
           ledger_leaf.c.seq < bindparam("end"))
    .order_by(ledger_leaf.c.seq)
)  # fmt: skip
_OUTSIDE = (
    select(ledger_entry.c.id, ledger_entry.c.recorded, ledger_pending.c.bad)
    .outerjoin(ledger_leaf, ledger_leaf.c.entry == ledger_entry.c.id)
    .outerjoin(ledger_pending, ledger_pending.c.id == ledger_entry.c.id)
    .where(ledger_entry.c.log == bindparam("log"), ledger_leaf.c.entry.is_(None))
    .order_by(ledger_entry.c.id)
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, and where: a place in the tree or an entry's id."""

    where: str
    what: str


def compare(connection: Connection, ledger: Ledger, at: Micros, first: int = 0) -> list[Finding]:
    """All findings from entry number `first` on, and all entries outside the tree."""
    size: int = connection.execute(_SIZE, {"log": ledger.log}).scalar_one()
    found = []
    expected = first
    for row in sequenced(connection, ledger, first, size):
        if row.seq != expected:
            found.append(Finding(str(expected), "is missing"))
        expected = row.seq + 1
        try:
            authentic(ledger, row)
        except Tampered as error:
            found.append(Finding(str(row.seq), str(error)))
    if expected != size:
        found.append(Finding(str(expected), "is missing"))
    for row in connection.execute(_OUTSIDE, {"log": ledger.log}):
        if row.bad is None:
            found.append(Finding(row.id, "is in no tree, and was taken out of the queue"))
        elif row.bad:
            found.append(Finding(row.id, "was refused by the sequencer"))
        elif row.recorded < at - LATE:
            found.append(Finding(row.id, "has waited for the sequencer for more than a minute"))
    return found


def sequenced(
    connection: Connection, ledger: Ledger, first: int, end: int
) -> Iterator[Row[*tuple[Any, ...]]]:
    """Rows of the tree with the entries they stand for, in order."""
    for start in range(first, end, AT_ONCE):
        span = {"log": ledger.log, "first": start, "end": min(start + AT_ONCE, end)}
        yield from connection.execute(_SEQUENCED, span)


def authentic(ledger: Ledger, row: Row[*tuple[Any, ...]]) -> tuple[Entry, Position | None]:
    """The entry of a row whose leaf, hash, MAC and copies agree; else Tampered."""
    if row.leaf is None or leaf_hash(row.leaf) != row.leaf_hash:
        raise Tampered(f"Entry {row.seq} is not what was sequenced.")
    if not compare_digest(row.mac, ledger.mac(row.leaf)):
        raise Tampered(f"Entry {row.seq} was not written by the service.")
    entry, position = parse(row.leaf)
    copies = (row.entry, row.log, row.recorded, row.patient, row.agent, row.action, row.kind,
              row.outcome, row.stream, row.n)  # fmt: skip
    truth = (entry.id, ledger.log, entry.at, entry.patient, entry.agent, entry.action, entry.kind,
             entry.outcome, position and position.stream, position and position.n)  # fmt: skip
    if copies != truth:
        raise Tampered(f"Entry {row.seq} differs from the copies beside it.")
    return entry, position
