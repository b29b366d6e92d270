"""Builds the engine, and refuses a database that would lose an acknowledged commit.

Never logs parameters: they are a person's data (`hide_parameters`), and the driver's own DETAIL
lines are kept out of errors by `faults.reason`.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from psycopg.pq import ExecStatus
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

from service.errors import Unavailable

PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # NORMAL loses the last commits at a power cut
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=10000",
    "PRAGMA secure_delete=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-65536",
)
LEAST_SQLITE = (3, 37)
PATIENCE = 10
OPTIONS = "-c plan_cache_mode=force_generic_plan -c lock_timeout=10s"
"""By default PostgreSQL waits for a lock for ever; here the caller gets 503 instead."""


def build(url: str, *, pool_size: int = 20) -> Engine:
    """An engine for sqlite:///... or postgresql://...; its pool holds `pool_size` connections."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if sqlite3.sqlite_version_info < LEAST_SQLITE:
            raise Unavailable("SQLite 3.37 or newer is needed.")
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = create_engine(
            parsed, hide_parameters=True, pool_size=pool_size, max_overflow=0,
            connect_args={"check_same_thread": False, "cached_statements": 512},
        )  # fmt: skip
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    engine = create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        hide_parameters=True, pool_size=pool_size, max_overflow=0, pool_pre_ping=False,
        connect_args=_connecting(parsed.query),
    )  # fmt: skip
    event.listen(engine, "connect", _postgresql_connected)
    event.listen(engine, "begin", _postgresql_begin)
    return engine


def _connecting(given: Mapping[str, object]) -> dict[str, object]:
    """Our options, then the operator's own; a silent server is given up, not waited for."""
    options = f"{OPTIONS} {given.get('options', '')}".strip()
    return {"options": options, "connect_timeout": given.get("connect_timeout", PATIENCE)}


def _postgresql_connected(dbapi: Any, _entry: ConnectionPoolEntry) -> None:  # noqa: ANN401 (DBAPI)
    """Plan each statement once: planning the read predicate takes longer than running it."""
    dbapi.prepare_threshold = 2
    dbapi.prepared_max = 400
    dbapi.autocommit = True  # we begin ourselves, below; commit and rollback end it all the same


def _postgresql_begin(connection: Connection) -> None:
    """The level in the same words: to set it on the connection and reset it costs far more."""
    begin: str = connection.get_execution_options().get("begin", "BEGIN")
    pgconn = connection.connection.dbapi_connection.pgconn  # type: ignore[union-attr]
    if pgconn.exec_(begin.encode()).status != ExecStatus.COMMAND_OK:
        connection.exec_driver_sql(begin)  # says what is wrong, and drops what is broken


def _sqlite_connected(dbapi: Any, _entry: ConnectionPoolEntry) -> None:  # noqa: ANN401 (DBAPI)
    dbapi.isolation_level = None  # pysqlite's implicit BEGIN breaks ours
    for pragma in PRAGMAS:
        dbapi.execute(pragma)


def _sqlite_begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def demand_durability(connection: Connection) -> None:
    """Refuse a server that may lose an acknowledged commit: a lost tail is a forked ledger."""
    if connection.dialect.name == "sqlite":
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        level = connection.exec_driver_sql("PRAGMA synchronous").scalar()
        if mode not in ("wal", "memory") or level != 2:  # noqa: PLR2004 (2 is FULL)
            raise Unavailable("SQLite must run in WAL mode with synchronous=FULL.")
        return
    for setting, wrong in (
        ("fsync", {"off"}),
        ("full_page_writes", {"off"}),
        ("synchronous_commit", {"off", "local"}),
    ):
        if connection.exec_driver_sql(f"SHOW {setting}").scalar() in wrong:
            raise Unavailable(f"PostgreSQL runs with {setting} too weak: an acknowledged note"
                              f" could be lost. Set {setting}=on.")  # fmt: skip
