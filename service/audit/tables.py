"""Tables of the ledger (audit reference, section 3).

The leaf is the truth; the columns of `ledger_entry` beside it are copies to search by, compared
with it by the notary. Nothing there is ever changed or deleted: triggers of both databases say so.
"""

from typing import Any

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.ddl import ExecutableDDLElement
from sqlalchemy.sql.functions import FunctionElement

from service.database.metadata import DIGEST, GUID, MICROS, SEALED, metadata


class _Clock(FunctionElement[int]):
    """The database's own time in microseconds: a second witness of when an entry arrived."""

    type = BigInteger()
    inherit_cache = True


@compiles(_Clock, "postgresql")
def _postgresql_clock(_element: _Clock, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401
    return "(extract(epoch from clock_timestamp()) * 1000000)::bigint"


@compiles(_Clock, "sqlite")
def _sqlite_clock(_element: _Clock, _compiler: SQLCompiler, **_: Any) -> str:  # noqa: ANN401
    return "(CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER))"


ledger_log = Table(
    "ledger_log",
    metadata,
    Column("log", SmallInteger, primary_key=True, autoincrement=False),
    Column("tenant", GUID, nullable=False),
    Column("origin", String(200), nullable=False, unique=True),
    Column("opened", MICROS, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("root", DIGEST, nullable=False),
    Column("frontier", LargeBinary, nullable=False),  # roots of the perfect subtrees
    Column("min_index", BigInteger, nullable=False),  # entries below it are pruned
    Column("state", String(6), nullable=False),
    CheckConstraint("state IN ('open', 'frozen', 'closed')", name="state"),
)
ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("id", GUID, primary_key=True),
    Column("log", SmallInteger, nullable=False),
    Column("stream", GUID, nullable=True),  # lane R: its writer, and the position there
    Column("n", BigInteger, nullable=True),
    Column("db_at", MICROS, nullable=False, server_default=_Clock()),
    Column("recorded", MICROS, nullable=False),
    Column("patient", GUID, nullable=True),
    Column("agent", String(200), nullable=False),
    Column("action", String(24), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("mac", DIGEST, nullable=False),
    Column("leaf", LargeBinary, nullable=False),
    CheckConstraint("(stream IS NULL) = (n IS NULL)", name="position"),
    CheckConstraint("length(mac) = 32", name="mac"),
    CheckConstraint("length(leaf) BETWEEN 2 AND 65535", name="leaf"),
)
Index("ix_ledger_entry_patient", ledger_entry.c.patient,
      ledger_entry.c.recorded, ledger_entry.c.id)  # fmt: skip
Index("ix_ledger_entry_agent", ledger_entry.c.agent, ledger_entry.c.recorded, ledger_entry.c.id)
Index("ix_ledger_entry_recorded", ledger_entry.c.recorded, ledger_entry.c.id)
ledger_pending = Table(
    "ledger_pending",
    metadata,
    Column("id", GUID, primary_key=True),
    Column("log", SmallInteger, nullable=False),
    Column("bad", Boolean, nullable=False),  # refused by the sequencer; stays for the review
)
ledger_stream = Table(
    "ledger_stream",
    metadata,
    Column("stream", GUID, primary_key=True),
    Column("log", SmallInteger, nullable=False),
    Column("n", BigInteger, nullable=False),  # the last one sequenced
    Column("leaf_hash", DIGEST, nullable=False),
)
ledger_leaf = Table(
    "ledger_leaf",
    metadata,
    Column("log", SmallInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("entry", GUID, nullable=False),
    Column("leaf_hash", DIGEST, nullable=False),
    PrimaryKeyConstraint("log", "seq"),
    UniqueConstraint("entry"),
)
ledger_tile = Table(
    "ledger_tile",
    metadata,
    Column("log", SmallInteger, nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("idx", BigInteger, nullable=False),
    Column("hashes", LargeBinary, nullable=False),  # a partial tile is a prefix of the later one
    PrimaryKeyConstraint("log", "level", "idx"),
)
ledger_checkpoint = Table(
    "ledger_checkpoint",
    metadata,
    Column("log", SmallInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("at", MICROS, nullable=False),
    PrimaryKeyConstraint("log", "size"),
)
ledger_text = Table(
    "ledger_text",
    metadata,
    Column("entry", GUID, nullable=False),
    Column("field", String(24), nullable=False),
    Column("owner", GUID, nullable=False),  # whose key seals it
    Column("sealed", SEALED, nullable=False),  # salt, then the text; deleted to redact it
    PrimaryKeyConstraint("entry", "field"),
)

APPEND_ONLY = {
    "postgresql": (
        """CREATE OR REPLACE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'append-only'; END $$""",
        """CREATE TRIGGER ledger_entry_rows BEFORE UPDATE OR DELETE ON ledger_entry
           FOR EACH ROW EXECUTE FUNCTION ledger_append_only()""",
        """CREATE TRIGGER ledger_entry_table BEFORE TRUNCATE ON ledger_entry
           FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()""",
    ),
    "sqlite": (
        """CREATE TRIGGER ledger_entry_update BEFORE UPDATE ON ledger_entry
           BEGIN SELECT RAISE(ABORT, 'append-only'); END""",
        """CREATE TRIGGER ledger_entry_delete BEFORE DELETE ON ledger_entry
           BEGIN SELECT RAISE(ABORT, 'append-only'); END""",
    ),
}
"""Made after the table, here and by the migration alike. None may hold a per cent sign: see DDL."""

for _dialect, _statements in APPEND_ONLY.items():
    for _statement in _statements:
        _ddl: ExecutableDDLElement = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(ledger_entry, "after_create", _ddl.execute_if(dialect=_dialect))
