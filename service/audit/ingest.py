"""How an entry becomes rows: canonical bytes, a MAC under the ingest key, copies to search by.

The MAC is what the database does not know: a row it makes up or alters is refused by the
sequencer and by the notary (audit reference, section 2). Used by append.py and sequencer.py.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, text

from service.audit.entry import Entry, Position, canonical
from service.audit.log import Ledger
from service.audit.tables import ledger_entry, ledger_pending


@dataclass(frozen=True, slots=True)
class Row:
    """An entry ready to insert."""

    entry: Entry
    position: Position | None
    leaf: bytes
    mac: bytes
    leaf_hash: bytes


def row(ledger: Ledger, entry: Entry, position: Position | None = None) -> Row:
    leaf = canonical(entry, position)
    return Row(entry, position, leaf, ledger.mac(leaf), hashlib.sha256(b"\0" + leaf).digest())


_COLUMNS = ("id", "stream", "n", "recorded", "patient", "agent", "action", "kind", "outcome",
            "mac", "leaf")  # fmt: skip
_TYPES = ("uuid", "uuid", "bigint", "bigint", "uuid", "text", "text", "text", "smallint",
          "bytea", "bytea")  # fmt: skip
_ENTRIES = (
    f"INSERT INTO ledger_entry (log, {', '.join(_COLUMNS)}) SELECT CAST(:log AS smallint), a.* "  # noqa: S608 (constants)
    f"FROM unnest({', '.join(f'CAST(:{c} AS {t}[])' for c, t in zip(_COLUMNS, _TYPES, strict=True))}) AS a"  # noqa: E501
)
_POSTGRESQL = text(_ENTRIES)
_POSTGRESQL_QUEUED = text(
    f"WITH e AS ({_ENTRIES}) INSERT INTO ledger_pending (id, log, bad) "
    "SELECT unnest(CAST(:id AS uuid[])), CAST(:log AS smallint), false"
)
_VALUES = ", ".join(f"CAST(:{c} AS {t})" for c, t in zip(_COLUMNS, _TYPES, strict=True))
_ONE_QUEUED = text(  # most acts have one entry; arrays of one cost twice as much to bind
    f"WITH e AS (INSERT INTO ledger_entry (log, {', '.join(_COLUMNS)}) VALUES (:log, {_VALUES})) "  # noqa: S608 (constants)
    "INSERT INTO ledger_pending (id, log, bad) VALUES (CAST(:id AS uuid), :log, false)"
)
_ENTRY = insert(ledger_entry)
_PENDING = insert(ledger_pending)


def write(connection: Connection, ledger: Ledger, rows: Sequence[Row], *, queue: bool) -> None:
    """Insert the entries and, with `queue`, their places in the sequencer's queue.

    One statement on PostgreSQL however many rows; on SQLite one for each of the two tables.
    """
    values = [
        (r.entry.id, r.position and r.position.stream, r.position and r.position.n, r.entry.at,
         r.entry.patient, r.entry.agent, str(r.entry.action), str(r.entry.kind),
         int(r.entry.outcome), r.mac, r.leaf)
        for r in rows
    ]  # fmt: skip
    if connection.dialect.name == "postgresql":
        if queue and len(values) == 1:
            one = dict(zip(_COLUMNS, values[0], strict=True))
            connection.execute(_ONE_QUEUED, {"log": ledger.log, **one})
            return
        arrays = dict(zip(_COLUMNS, map(list, zip(*values, strict=True)), strict=True))
        statement = _POSTGRESQL_QUEUED if queue else _POSTGRESQL
        connection.execute(statement, {"log": ledger.log, **arrays})
        return
    connection.execute(
        _ENTRY, [{"log": ledger.log, **dict(zip(_COLUMNS, v, strict=True))} for v in values]
    )
    if queue:
        connection.execute(
            _PENDING, [{"id": r.entry.id, "log": ledger.log, "bad": False} for r in rows]
        )
