"""A migrated database is the one that the rooms declare, on both databases, triggers included."""

import re
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, text

from service.database import engine as engines
from service.database.metadata import metadata
from service.database.transactions import Transactions
from service.migrations import upgrade
from tests.conftest import load_tables

REMEDY = (
    "the tables have changed: before the first release run `.venv/bin/python deploy/freeze`,"
    " afterwards add a migration"
)
CATALOGUE = {
    "sqlite": ("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL",),
    "postgresql": (
        """SELECT table_name, column_name, data_type, character_maximum_length, is_nullable,
           column_default FROM information_schema.columns WHERE table_schema = 'public'""",
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
           WHERE connamespace = 'public'::regnamespace""",
        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    ),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empties(request: pytest.FixtureRequest, tmp_path: Path):
    """Two empty databases of one kind."""
    load_tables()
    names = [f"empty_{uuid4().hex[:12]}" for _ in range(2)]
    if request.param == "sqlite":
        both = [engines.build(f"sqlite:///{tmp_path}/{name}.db", pool_size=2) for name in names]
        yield both
        for engine in both:
            engine.dispose()
        return
    admin, _ = request.getfixturevalue("postgresql_template")
    with admin.connect() as connection:
        for name in names:
            connection.execute(text(f"CREATE DATABASE {name}"))
    both = [create_engine(admin.url.set(database=name)) for name in names]
    yield both
    for engine in both:
        engine.dispose()
    with admin.connect() as connection:
        for name in names:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def empty(empties: list[Engine]) -> Engine:
    return empties[0]


def catalogue(connection: Connection) -> set[tuple[str, ...]]:
    return {
        tuple(ordered(str(value)) for value in row)
        for query in CATALOGUE[connection.dialect.name]
        for row in connection.execute(text(query))
        if "alembic_version" not in " ".join(str(value) for value in row)
    }


def ordered(definition: str) -> str:
    """SQLite keeps the text of CREATE TABLE, and a migration lists constraints in another order."""
    if not definition.startswith("CREATE TABLE"):
        return " ".join(definition.split())
    return " ".join(sorted(re.findall(r"[\w'.<>=*/-]+", definition)))


def test_the_migrated_schema_is_the_declared_one(empties: list[Engine]) -> None:
    one, other = empties
    with Transactions(one).write() as connection:
        upgrade.to_newest(connection)
    metadata.create_all(other)
    with one.connect() as migrated, other.connect() as declared:
        context = MigrationContext.configure(migrated)
        assert compare_metadata(context, metadata) == [], REMEDY
        assert catalogue(migrated) == catalogue(declared), REMEDY


def test_a_migrated_ledger_only_grows(empty: Engine) -> None:
    with Transactions(empty).write() as connection:
        upgrade.to_newest(connection)
    names = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    }
    with empty.connect() as connection:
        found = set(connection.execute(text(names[empty.dialect.name])).scalars())
    rows = {"sqlite": {"ledger_entry_update", "ledger_entry_delete"},
            "postgresql": {"ledger_entry_rows", "ledger_entry_table"}}  # fmt: skip
    assert found == rows[empty.dialect.name]


def test_upgrading_twice_changes_nothing(empty: Engine) -> None:
    for _ in range(2):
        with Transactions(empty).write() as connection:
            upgrade.to_newest(connection)
            assert upgrade.is_newest(connection)
