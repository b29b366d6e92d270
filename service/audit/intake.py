"""Reads the sequencer's queue: what is authentic, and where each stream stands.

Callers choose ids, writers choose positions: the queue is cut by id, streams are followed by n.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hmac import compare_digest
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, select, update

from service.audit.entry import ORIGIN, Kind, Position, place
from service.audit.log import Ledger
from service.audit.tables import ledger_entry, ledger_pending, ledger_stream
from service.audit.tree import leaf_hash

MOST_TOGETHER = 8_192
MOST_TOGETHER_SQLITE = 2_048  # every other writer waits meanwhile

_QUEUE = (
    select(ledger_pending.c.id, ledger_entry.c.mac, ledger_entry.c.leaf)
    .select_from(ledger_pending.outerjoin(ledger_entry, ledger_entry.c.id == ledger_pending.c.id))
    .where(ledger_pending.c.log == bindparam("log"), ~ledger_pending.c.bad)
    .order_by(ledger_pending.c.id)
    .with_for_update(of=ledger_pending, skip_locked=True)
)
_CUT = _QUEUE.limit(bindparam("most"))
_MISSING = _QUEUE.where(
    ledger_entry.c.stream == bindparam("stream"), ledger_entry.c.n <= bindparam("high")
)
_STREAMS = select(ledger_stream).where(ledger_stream.c.stream.in_(bindparam("s", expanding=True)))
_STILL_QUEUED = (
    select(ledger_entry.c.n)
    .join(ledger_pending, ledger_pending.c.id == ledger_entry.c.id)
    .where(
        ~ledger_pending.c.bad,
        ledger_entry.c.stream == bindparam("stream"),
        ledger_entry.c.n >= bindparam("low"),
        ledger_entry.c.n < bindparam("high"),
    )
    .limit(1)
)
_REFUSE = update(ledger_pending).where(ledger_pending.c.id == bindparam("b_id")).values(bad=True)


class Taken(NamedTuple):
    id: str
    leaf_hash: bytes
    kind: str
    position: Position | None


@dataclass(slots=True)
class Round:
    """What one round found in the queue: to sequence, to refuse, and breaks in streams."""

    good: list[Taken] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    gaps: list[tuple[Taken, int]] = field(default_factory=list)  # with the n that was expected
    heads: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)


def take(connection: Connection, ledger: Ledger) -> Round:
    """Read the queue in the order of ids, and sort what is ours from what is not."""
    postgresql = connection.dialect.name == "postgresql"
    most = MOST_TOGETHER if postgresql else MOST_TOGETHER_SQLITE
    found = Round()
    for queued in connection.execute(_CUT, {"log": ledger.log, "most": most}):
        taken = _authentic(ledger, queued)
        if taken is None:
            found.bad.append(queued.id)
        else:
            found.good.append(taken)
    if found.bad:
        connection.execute(_REFUSE, [{"b_id": each} for each in found.bad])
    return found


def _authentic(ledger: Ledger, queued: Row[Any, Any, Any]) -> Taken | None:
    """None for a queued id without an entry, or with one that none of us wrote."""
    if queued.leaf is None or not compare_digest(queued.mac, ledger.mac(queued.leaf)):
        return None
    kind, position = place(queued.leaf)
    return Taken(queued.id, leaf_hash(queued.leaf), kind, position)


def follow(connection: Connection, ledger: Ledger, found: Round) -> None:
    """Put each stream in its own order, and compare it with where that stream stood."""
    streams: dict[str, dict[str, tuple[Position, Taken]]] = {}
    unplaced = []
    for taken in found.good:
        if taken.position is None:
            unplaced.append(taken)
        else:
            members = streams.setdefault(taken.position.stream, {})
            members[taken.id] = (taken.position, taken)
    found.good = unplaced
    if not streams:
        return
    for head in connection.execute(_STREAMS, {"s": list(streams)}):
        found.heads[head.stream] = (head.n, head.leaf_hash)
    for stream, members in streams.items():
        last = found.heads.get(stream, (-1, ORIGIN))[0]
        high = max(position.n for position, _ in members.values())
        if len(members) != high - last:
            _complete(connection, ledger, stream, high, members)
        _follow_one(connection, found, stream, sorted(members.values(), key=lambda m: m[0].n))


def _complete(
    connection: Connection,
    ledger: Ledger,
    stream: str,
    high: int,
    members: dict[str, tuple[Position, Taken]],
) -> None:
    """Callers choose ids, writers choose positions: fetch what the cut by id parted."""
    wanted = {"log": ledger.log, "stream": stream, "high": high}
    for queued in connection.execute(_MISSING, wanted):
        taken = _authentic(ledger, queued)
        if taken is not None and taken.position is not None and taken.position.stream == stream:
            members[taken.id] = (taken.position, taken)


def _follow_one(
    connection: Connection,
    found: Round,
    stream: str,
    members: Sequence[tuple[Position, Taken]],
) -> None:
    """Whatever waits for one that another transaction holds stays queued; else a break is a gap."""
    for position, taken in members:
        last, prev = found.heads.get(stream, (-1, ORIGIN))
        if (position.n, position.prev) != (last + 1, prev):
            span = {"stream": stream, "low": last + 1, "high": position.n}
            if position.n > last + 1 and connection.execute(_STILL_QUEUED, span).first():
                return
            found.gaps.append((taken, last + 1))
        found.good.append(taken)
        found.heads[stream] = (position.n, taken.leaf_hash)
        if taken.kind == Kind.STREAM_CLOSE:
            found.closed.append(stream)
