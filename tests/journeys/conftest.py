"""A house per story file, on each database."""

import io
from collections.abc import Iterator
from uuid import uuid4

import pytest
from house import Service, serving, settings_for
from rich.console import Console
from sqlalchemy import create_engine, make_url, text

from service.app import open_house
from service.cli import setup
from service.cli.demo_data import load


@pytest.fixture(scope="module")
def empty_postgresql(postgresql_server: str) -> Iterator[str]:
    """An empty database: the service makes its schema by migration, as in an operator's hands."""
    name = f"journey_{uuid4().hex[:12]}"
    url = make_url(postgresql_server).set(drivername="postgresql+psycopg")
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield url.set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("empty_postgresql")
    settings = settings_for(url, tmp_path_factory.mktemp("house"))
    setup.prepare(settings)
    house = open_house(settings)
    load(house, Console(file=io.StringIO()), first=True)
    house.close()
    yield from serving(settings)
