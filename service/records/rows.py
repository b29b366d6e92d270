"""Writes one record: current row, version, search rows; all of it in one statement on PostgreSQL.

Ids, codes and arrays travel as text and are cast there, so that the server sees one statement
however many rows it writes. Search rows that stay the same are not touched. Each function answers
whether it wrote: nothing was written if the id is taken, or the version is no longer the one read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, LargeBinary, TextClause, bindparam, delete, text, update
from sqlalchemy.dialects.sqlite import insert

from service.database.metadata import GUID
from service.records import changes
from service.records.extract import IndexRows
from service.records.tables import (
    ix_date,
    ix_identifier,
    ix_reference,
    ix_token,
    resource,
    resource_version,
)
from service.records.values import Interval
from service.vocabulary import OPEN_END, OPEN_START


@dataclass(frozen=True, slots=True)
class Row:
    """One version of one record, sealed; columns of `resource` and `resource_version`."""

    patient: str
    type: str
    id: str
    version: int
    lo: int
    hi: int
    updated: int
    conf: int
    families: int
    audience: str
    author: str | None
    deleted: bool
    method: str
    entry: str
    body: bytes


def create(connection: Connection, row: Row, rows: IndexRows, ordinal: int) -> bool:
    """The first version; False if the id is taken, by whomever."""
    if connection.dialect.name == "postgresql":
        return _run(connection, CREATE, row, rows, ordinal)
    values = asdict(row) | {"seq": changes.number(connection, ordinal)}
    if connection.execute(ANCHOR, _of(values, resource.c.keys())).first() is None:
        return False
    _add(connection, values, rows)
    return True


def replace(connection: Connection, row: Row, rows: IndexRows, ordinal: int) -> bool:
    """The next version; False unless the current one is row.version - 1."""
    if connection.dialect.name == "postgresql":
        return _run(connection, REPLACE, row, rows, ordinal)
    values = asdict(row) | {"seq": changes.number(connection, ordinal)}
    if not connection.execute(SUPERSEDE, _renamed(values)).rowcount:
        return False
    for removal in REMOVALS:
        connection.execute(removal, _owner(row))
    _add(connection, values, rows)
    return True


def bury(connection: Connection, row: Row, ordinal: int) -> bool:
    """A tombstone. Its references stay: what a consent's target reaches stays hidden or open."""
    if connection.dialect.name == "postgresql":
        return _run(connection, BURY, row, NOTHING, ordinal)
    values = asdict(row) | {"seq": changes.number(connection, ordinal)}
    if not connection.execute(SUPERSEDE, _renamed(values)).rowcount:
        return False
    for removal in REMOVALS[1:]:
        connection.execute(removal, _owner(row))
    connection.execute(VERSION, _of(values, resource_version.c.keys()))
    return True


NOTHING = IndexRows([], [], [], [], Interval(OPEN_START, OPEN_END))

# SQLite: the database is in the process, so a statement per table costs little.
ANCHOR = insert(resource).on_conflict_do_nothing().returning(resource.c.version)
VERSION = insert(resource_version)
CURRENT = ("version", "seq", "lo", "hi", "updated", "conf", "families", "audience", "author",
           "deleted")  # fmt: skip
SUPERSEDE = (
    update(resource)
    .where(resource.c.patient == bindparam("of_patient", type_=GUID))
    .where(resource.c.type == bindparam("of_type"), resource.c.id == bindparam("of_id", type_=GUID))
    .where(resource.c.version == bindparam("of_version"))
    .values({name: bindparam(f"new_{name}", type_=resource.c[name].type) for name in CURRENT})
)
REMOVALS = tuple(
    delete(table)
    .where(table.c.patient == bindparam("of_patient", type_=GUID))
    .where(table.c.type == bindparam("of_type"), table.c.id == bindparam("of_id", type_=GUID))
    for table in (ix_reference, ix_token, ix_date, ix_identifier)
)
ADDITIONS = tuple(
    insert(table).on_conflict_do_nothing()
    for table in (ix_token, ix_reference, ix_date, ix_identifier)
)


def _add(connection: Connection, values: Mapping[str, object], rows: IndexRows) -> None:
    connection.execute(VERSION, _of(values, resource_version.c.keys()))
    for addition, found in zip(
        ADDITIONS, (rows.tokens, rows.references, rows.dates, rows.identifiers), strict=True
    ):
        if found:
            connection.execute(addition, found)


def _of(values: Mapping[str, object], names: Iterable[str]) -> dict[str, object]:
    return {name: values[name] for name in names}


def _owner(row: Row) -> dict[str, object]:
    return {"of_patient": row.patient, "of_type": row.type, "of_id": row.id}


def _renamed(values: Mapping[str, object]) -> dict[str, object]:
    version = values["version"]
    assert isinstance(version, int)  # noqa: S101 (narrows for mypy; Row says so)
    return {f"new_{name}": values[name] for name in CURRENT} | {
        "of_patient": values["patient"], "of_type": values["type"], "of_id": values["id"],
        "of_version": version - 1,
    }  # fmt: skip


# PostgreSQL: a journey to the server costs more than the work there.
_OWNER = "CAST(:patient AS uuid), :type, CAST(:id AS uuid)"
_LABELS = ":conf, :families, :audience, CAST(:author AS uuid)"
_SEQ = f"({changes.NUMBER.text}) + :ordinal"
_CREATE = f"""
WITH anchor AS (
  INSERT INTO resource (patient, type, id, version, seq, lo, hi, updated,
                        conf, families, audience, author, deleted)
  VALUES ({_OWNER}, :version, {_SEQ}, :lo, :hi, :updated, {_LABELS}, :deleted)
  ON CONFLICT DO NOTHING RETURNING seq
)"""  # noqa: S608 (constants)
_SUPERSEDE = f"""
WITH anchor AS (
  UPDATE resource SET (version, seq, lo, hi, updated, conf, families, audience, author, deleted)
    = ROW (:version, {_SEQ}, :lo, :hi, :updated, {_LABELS}, :deleted)
  WHERE patient = CAST(:patient AS uuid) AND type = :type AND id = CAST(:id AS uuid)
    AND version = :version - 1
  RETURNING seq
)"""  # noqa: S608 (constants)
_VERSION = f""", stored AS (
  INSERT INTO resource_version (patient, type, id, version, seq, updated, method,
                                conf, families, audience, author, entry, body)
  SELECT {_OWNER}, :version, anchor.seq, :updated, :method, {_LABELS}, CAST(:entry AS uuid), :body
  FROM anchor
)"""  # noqa: S608 (constants)
_TABLES = {
    "ix_reference": {"param": "varchar", "target_type": "varchar", "target_id": "uuid"},
    "ix_token": {"param": "varchar", "hash": "bigint"},
    "ix_date": {"param": "varchar", "lo": "bigint", "hi": "bigint"},
    "ix_identifier": {"digest": "bytea"},
}


def _changes(table: str, *, removes: bool) -> str:
    columns = _TABLES[table]
    names = ", ".join(columns)
    arrays = ", ".join(f"CAST(:{table}_{name} AS {kind}[])" for name, kind in columns.items())
    values = ", ".join(f"n.{name}" for name in columns)
    same = " AND ".join(f"n.{name} = o.{name}" for name in columns)
    added = f""", {table}_added AS (
  INSERT INTO {table} (patient, type, id, {names})
  SELECT {_OWNER}, {values} FROM anchor, unnest({arrays}) AS n({names})
  ON CONFLICT DO NOTHING
)"""  # noqa: S608 (constants)
    removed = f""", {table}_removed AS (
  DELETE FROM {table} AS o USING anchor
  WHERE o.patient = CAST(:patient AS uuid) AND o.type = :type AND o.id = CAST(:id AS uuid)
    AND NOT EXISTS (SELECT 1 FROM unnest({arrays}) AS n({names}) WHERE {same})
)"""  # noqa: S608 (constants)
    return added + removed if removes else added


def _statement(head: str, tables: Iterable[str], *, removes: bool) -> TextClause:
    parts = (_changes(table, removes=removes) for table in tables)
    return text(f"{head}{_VERSION}{''.join(parts)} SELECT seq FROM anchor").bindparams(  # noqa: S608
        bindparam("body", type_=LargeBinary)
    )


CREATE = _statement(_CREATE, _TABLES, removes=False)
REPLACE = _statement(_SUPERSEDE, _TABLES, removes=True)
BURY = _statement(_SUPERSEDE, [name for name in _TABLES if name != "ix_reference"], removes=True)


def _run(
    connection: Connection, statement: TextClause, row: Row, rows: IndexRows, ordinal: int
) -> bool:
    values = {name: getattr(row, name) for name in Row.__slots__}
    values["ordinal"] = ordinal
    for table, found in (
        ("ix_reference", rows.references), ("ix_token", rows.tokens), ("ix_date", rows.dates),
        ("ix_identifier", rows.identifiers),
    ):  # fmt: skip
        for column in _TABLES[table]:
            values[f"{table}_{column}"] = _array([one[column] for one in found])
    return connection.execute(statement, values).first() is not None


def _array(values: list[object]) -> str:
    """An array in PostgreSQL's text form."""
    if not values:
        return "{}"
    texts = (rf"\x{one.hex()}" if isinstance(one, bytes) else str(one) for one in values)
    quoted = (one.replace("\\", "\\\\").replace('"', '\\"') for one in texts)
    return '{"' + '","'.join(quoted) + '"}'
