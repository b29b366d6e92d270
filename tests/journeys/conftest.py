"""Houses to tell stories in, on each database: a shared one, one of a story's own, and none yet."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import pytest
from house import Service, furnish, serving, settings_for
from process import Process
from sqlalchemy import create_engine, make_url, text

from service.settings import Settings

DATABASES = ("sqlite", "postgresql")
Place = Callable[[str], Settings]


@contextmanager
def _empty(server: str) -> Iterator[str]:
    """An empty database: the service makes its schema by migration, as in an operator's hands."""
    name = f"journey_{uuid4().hex[:12]}"
    url = make_url(server).set(drivername="postgresql+psycopg")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(scope="session")
def postgresql_place(postgresql_server: str) -> Iterator[Callable[[], str]]:
    """URLs of empty databases, gone again before their server is."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(_empty(postgresql_server))


@pytest.fixture(scope="session")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Settings for a new house on the named kind of database."""

    def make(kind: str) -> Settings:
        folder = tmp_path_factory.mktemp("house")
        url = "" if kind == "sqlite" else request.getfixturevalue("postgresql_place")()
        return settings_for(url, folder)

    return make


@pytest.fixture(scope="session", params=DATABASES)
def service(request: pytest.FixtureRequest, place: Place) -> Iterator[Service]:
    """Shared by stories that leave it usable: each brings its own participants."""
    settings = place(request.param)
    furnish(settings)
    yield from serving(settings)


@pytest.fixture(scope="module", params=DATABASES)
def own_service(request: pytest.FixtureRequest, place: Place) -> Iterator[Service]:
    """For stories that break something."""
    settings = place(request.param)
    furnish(settings)
    yield from serving(settings)


@pytest.fixture(params=DATABASES)
def process(request: pytest.FixtureRequest, place: Place) -> Iterator[Process]:
    """`peernotes run` as an operator starts it; not started yet."""
    settings = place(request.param)
    furnish(settings)
    made = Process(settings)
    yield made
    made.kill()
