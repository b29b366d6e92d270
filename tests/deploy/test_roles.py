"""deploy/roles.sql: each role does its work, and nothing of the others'."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_house import empty_database
from rich.console import Console
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from service.access.enforce import opener
from service.app import LOG, clock, open_house
from service.audit.log import Ledger
from service.audit.notary import Notary
from service.audit.sequencer import sequence
from service.cli import setup
from service.cli.demo_data import load
from service.cli.ledger import _database
from service.cli.setup import found_notary
from service.database import engine as engines
from service.errors import Unavailable
from service.keys.keyring import start
from service.settings import Settings, from_environment

ROLES = Path(__file__).parents[2] / "deploy" / "roles.sql"
APP, SEQUENCER, NOTARY = "peernotes_app", "peernotes_sequencer", "peernotes_notary"


def as_role(url: str, role: str) -> str:
    """The same database, acting as a role: what a login that is its member may do."""
    return (
        make_url(url)
        .update_query_dict({"options": f"-crole={role}"})
        .render_as_string(hide_password=False)
    )


@pytest.fixture(scope="module")
def owned(postgresql_server: str) -> Iterator[str]:
    with empty_database(postgresql_server) as url:
        yield url


@pytest.fixture(scope="module")
def settings(owned: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Set up by the owner, then the roles; the service's settings."""
    environ = {
        "PEERNOTES_DATA_DIR": str(tmp_path_factory.mktemp("house")),
        "PEERNOTES_MACHINES": "no",
    }
    setup.prepare(from_environment(environ | {"PEERNOTES_DATABASE_URL": owned}))
    engine = create_engine(owned, isolation_level="AUTOCOMMIT")
    for _ in range(2):  # run again after an upgrade, it says the same
        with engine.connect() as connection:
            connection.connection.driver_connection.execute(ROLES.read_text())
    engine.dispose()
    return from_environment(environ | {"PEERNOTES_DATABASE_URL": as_role(owned, APP)})


@pytest.fixture(scope="module")
def worked(settings: Settings) -> Settings:
    """The service has started as its role, and written."""
    setup.prepare(settings)
    house = open_house(settings)
    load(house, Console(quiet=True), first=True)
    house.close()
    return settings


def test_each_does_its_work_as_its_own_role(worked: Settings, owned: str) -> None:
    settings = worked
    pools = {role: engines.build(as_role(owned, role), pool_size=2) for role in (SEQUENCER, NOTARY)}
    keyring = start(opener(pools[SEQUENCER]), settings.keyring, create=False, at=clock())
    ledger = Ledger(LOG, keyring.ingest_key)
    while sequence(opener(pools[SEQUENCER]), ledger, clock()):
        time.sleep(0)
    found_notary(settings.notary_dir, f"peernotes/{keyring.tenant}/1")
    assert Notary(opener(pools[NOTARY]), ledger, settings.notary_dir, clock).step()
    assert _database(settings) == 0
    for engine in pools.values():
        engine.dispose()


@pytest.mark.usefixtures("settings")  # the roles
def test_the_service_makes_no_schema(postgresql_server: str, tmp_path: Path) -> None:
    with empty_database(postgresql_server) as url:
        environ = {"PEERNOTES_DATA_DIR": str(tmp_path), "PEERNOTES_DATABASE_URL": as_role(url, APP)}
        with pytest.raises(Unavailable, match="peernotes setup"):
            setup.prepare(from_environment(environ))


FORBIDDEN = {
    APP: (
        "UPDATE ledger_entry SET kind = 'use'",
        "DELETE FROM ledger_entry",
        "TRUNCATE ledger_entry",
        "UPDATE ledger_pending SET bad = true",
        "DELETE FROM ledger_pending",
        "INSERT INTO ledger_leaf SELECT * FROM ledger_leaf",
        "UPDATE ledger_leaf SET seq = seq + 1",
        "UPDATE ledger_tile SET hashes = ''",
        "UPDATE ledger_log SET state = 'open'",
        "UPDATE ledger_stream SET n = 0",
        "DELETE FROM ledger_checkpoint",
        "INSERT INTO ledger_checkpoint VALUES (1, 99, '', 0)",
        "UPDATE resource_version SET body = ''",
        "DELETE FROM resource_version",
        "DELETE FROM resource",
        "DELETE FROM key_wrapped",
        "UPDATE key_kek SET state = 'retired'",
        "DELETE FROM key_root",
        "UPDATE installation SET mode = 'demo'",
        "ALTER TABLE ledger_entry DISABLE TRIGGER ALL",
        "DROP TABLE ledger_entry",
        "CREATE TABLE mine (id int)",
    ),
    SEQUENCER: (
        "UPDATE ledger_entry SET kind = 'use'",
        "DELETE FROM ledger_entry",
        "INSERT INTO ledger_checkpoint VALUES (1, 99, '', 0)",
        "UPDATE ledger_log SET state = 'open'",
        "SELECT body FROM resource_version",
        "SELECT * FROM account",
        "UPDATE key_wrapped SET state = 'erased'",
    ),
    NOTARY: (
        "UPDATE ledger_entry SET kind = 'use'",
        "INSERT INTO ledger_leaf SELECT * FROM ledger_leaf",
        "UPDATE ledger_log SET size = 0",
        "UPDATE ledger_tile SET hashes = ''",
        "DELETE FROM ledger_checkpoint",
        "UPDATE ledger_checkpoint SET note = ''",
        "SELECT body FROM resource_version",
    ),
}


@pytest.fixture(scope="module")
def engines_of(settings: Settings, owned: str) -> Iterator[dict[str, Engine]]:
    assert settings.database_url != owned
    made = {role: create_engine(as_role(owned, role)) for role in FORBIDDEN}
    yield made
    for engine in made.values():
        engine.dispose()


@pytest.mark.parametrize(
    ("role", "statement"),
    [(role, statement) for role, statements in FORBIDDEN.items() for statement in statements],
    ids=lambda value: value.removeprefix("peernotes_").replace(" ", "-"),
)
def test_a_role_cannot_do_another_ones_work(
    engines_of: dict[str, Engine], role: str, statement: str
) -> None:
    with engines_of[role].begin() as connection, pytest.raises(ProgrammingError) as refused:
        connection.execute(text(statement))
    assert refused.value.orig.sqlstate == "42501"


@pytest.mark.usefixtures("worked")
@pytest.mark.parametrize("statement", ["TRUNCATE ledger_entry", "DELETE FROM ledger_entry"])
def test_triggers_stop_even_the_owner(owned: str, statement: str) -> None:
    engine = create_engine(owned)
    try:
        with engine.begin() as connection, pytest.raises(DBAPIError, match="append-only"):
            connection.execute(text(statement))
    finally:
        engine.dispose()
