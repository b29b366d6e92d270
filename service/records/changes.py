"""Sequence numbers that follow commit order (design D8): cursors of sync, feeds and the directory.

SQLite has one writer, so a counter counts commits. PostgreSQL commits in any order: a number is
the transaction's own (xid8) above 20 bits of ordinal, and readers stay below the `horizon`, under
which nothing can still commit. `change_base` is added to xid8, so that a restore into a new
cluster, whose transactions count from three again, never runs backwards (`settle`).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Select,
    bindparam,
    func,
    select,
    text,
    update,
)

from service.records.tables import change_base, resource
from service.records.view import View
from service.records.visible import Shape, parameters, predicate, shape
from service.vocabulary import Micros, PatientId

ORDINALS = 20  # bits for the place within one transaction: a million records at most

# On PostgreSQL: what xid8 value, counted from the base, is a transaction's own; what is settled.
NUMBER = text(
    "SELECT ((SELECT base FROM change_base)"
    " + CAST(CAST(pg_current_xact_id() AS text) AS bigint)) << 20"
)
HORIZON = text(
    "SELECT ((SELECT base FROM change_base)"
    " + CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)) << 20"
)
FIRST = text("INSERT INTO change_base (one, base) VALUES (1, 0) ON CONFLICT DO NOTHING")
COUNT = text("UPDATE change_base SET base = base + 1 RETURNING base")

r = resource.alias("r")


@dataclass(frozen=True, slots=True)
class Change:
    """A record that was written or deleted after a cursor; as it is now."""

    seq: int
    patient: PatientId
    type: str
    id: str
    version: int
    updated: Micros
    deleted: bool


def settle(connection: Connection) -> None:
    """At boot: make the base exist, and lift it above all numbers that this data already holds."""
    high: int = connection.execute(select(func.coalesce(func.max(resource.c.seq), 0))).scalar_one()
    if connection.dialect.name == "sqlite":
        needed = high
    else:
        mine = connection.execute(text("SELECT CAST(pg_current_xact_id() AS text)")).scalar_one()
        needed = (high >> ORDINALS) - int(mine) + 1 if high else 0
    connection.execute(FIRST)
    connection.execute(update(change_base).where(change_base.c.base < needed).values(base=needed))


def number(connection: Connection, ordinal: int) -> int:
    """The sequence number of a write; `ordinal` is its place in this transaction, from 0."""
    if connection.dialect.name == "sqlite":
        return int(connection.execute(COUNT).scalar_one())
    return int(connection.execute(NUMBER).scalar_one()) + ordinal


def horizon(connection: Connection) -> int:
    """Every number below is committed and in this snapshot; numbers from here on may yet come."""
    if connection.dialect.name == "sqlite":
        return int(connection.execute(select(change_base.c.base)).scalar_one()) + 1
    return int(connection.execute(HORIZON).scalar_one())


def changed(
    connection: Connection, view: View, after: int, limit: int, *types: str
) -> list[Change]:
    """What `view` sees of the changes with after < seq < horizon, tombstones included, in order."""
    found = connection.execute(
        _changed(shape(view), bool(types)),
        parameters(view)
        | {"after": after, "horizon": horizon(connection), "most": limit, "types": types},
    )
    return [Change(*row) for row in found]


@lru_cache
def _changed(kind: Shape, typed: bool) -> Select[Any]:  # noqa: FBT001 (a cache key)
    found = (
        select(r.c.seq, r.c.patient, r.c.type, r.c.id, r.c.version, r.c.updated, r.c.deleted)
        .where(r.c.seq > bindparam("after", type_=BigInteger))
        .where(r.c.seq < bindparam("horizon", type_=BigInteger))
        .where(predicate(kind, r, None, True))  # noqa: FBT003 (as cached by position)
        .order_by(r.c.seq)
        .limit(bindparam("most", type_=Integer))
    )
    return found.where(r.c.type.in_(bindparam("types", expanding=True))) if typed else found
