"""Transactions: one read snapshot or one write, on SQLite and PostgreSQL alike.

SQLite has one writer: a lock per process stands before BEGIN IMMEDIATE, because SQLite's own busy
handler is unfair (seconds at the 99th percentile). Other processes are covered by busy_timeout.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from service.errors import Unavailable

PATIENCE = 10.0  # seconds


class Transactions:
    """An Opener over one engine. Two over the same SQLite file share their `writer` lock."""

    def __init__(self, engine: Engine, writer: "threading.Lock | None" = None) -> None:
        self._engine = engine
        self.writer = writer or threading.Lock()
        if engine.dialect.name == "postgresql":
            self._reading = engine.execution_options(
                begin="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            )
        else:
            self._reading = engine.execution_options(begin="BEGIN")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self._engine.dialect.name == "postgresql":
            with self._engine.begin() as connection:
                yield connection
            return
        with self._turn(), self._engine.execution_options(begin="BEGIN IMMEDIATE").begin() as c:
            yield c

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Nobody waits for ever: whoever holds the lock may itself wait for another process."""
        if not self.writer.acquire(timeout=PATIENCE):
            raise Unavailable("The database is busy.")
        try:
            yield
        finally:
            self.writer.release()
