"""The first start: directories, schema, keys, notary, ledger. Every step may be run again.

A database that was set up before meets its keys first: where they do not fit, nothing is written,
not even a newer schema.
"""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from service.access.enforce import opener
from service.access.installation import Installation, found, remember
from service.app import LOG, clock
from service.audit import memory
from service.audit.log import initialise
from service.audit.notary import create as create_notary
from service.database import engine as engines
from service.database.faults import reason
from service.database.opener import Opener
from service.errors import KeysRefused, Unavailable
from service.keys.keyring import start
from service.migrations import upgrade
from service.settings import Settings

DENIED = "42501"
"""SQLSTATE: this role may not do that."""


def add_to(commands: Any) -> None:  # noqa: ANN401 (argparse names no type for it)
    parser = commands.add_parser(
        "setup",
        help="make or upgrade the database's tables, keys and ledger, then stop",
        description="What `peernotes run` does before it serves; for a PostgreSQL role that owns"
        " the tables, while the service runs as one that does not (deploy/roles.sql).",
        epilog="Example: PEERNOTES_DATABASE_URL=postgresql://owner@/peernotes peernotes setup",
    )
    parser.set_defaults(run=run)


def run(_arguments: Namespace, settings: Settings) -> int:
    first = prepare(settings)
    print("Set up." if first else "This database is set up, and its schema is the newest.")
    return 0


def prepare(settings: Settings) -> bool:
    """True when this was the first start. Raises KeysRefused where keys and data do not match."""
    private(settings.data_dir, "PEERNOTES_DATA_DIR")
    with opened(settings) as transactions:
        return _prepared(settings, transactions)


def _prepared(settings: Settings, transactions: Opener) -> bool:
    with transactions.read() as connection:
        installed = found(connection) if upgrade.has_schema(connection) else None
        newest = upgrade.is_newest(connection)
    if installed:
        _demand_mode(settings, installed)
        start(transactions, settings.keyring, create=False, at=clock())
    if not newest:
        with transactions.write() as connection:
            upgrade.to_newest(connection)
    if installed:
        return False
    private(settings.keyring.parent, "PEERNOTES_KEYRING")
    keyring = start(transactions, settings.keyring, create=True, at=clock())
    origin = f"peernotes/{keyring.tenant}/1"
    if settings.machines:
        found_notary(settings.notary_dir, origin)
    with transactions.write() as connection:
        initialise(connection, origin, clock(), log=LOG)
        remember(connection, Installation(settings.mode, origin, clock()))
    return True


def found_notary(directory: Path, origin: str) -> None:
    """Make the notary's key, or go on with the one that an interrupted first start made."""
    private(directory, "PEERNOTES_NOTARY_DIR")
    if not (directory / memory.KEY).exists():
        create_notary(directory, origin)
    elif memory.load(directory).origin != origin:
        raise KeysRefused(
            f"{directory} holds another ledger's notary: set PEERNOTES_NOTARY_DIR to an empty"
            " place."
        )


def _demand_mode(settings: Settings, installed: Installation) -> None:
    if settings.mode == "production" and installed.mode != "production":
        raise KeysRefused(
            "This database was set up with demo keys and demo accounts; production refuses it. Set"
            " PEERNOTES_DATA_DIR and PEERNOTES_DATABASE_URL to an empty place and start again."
        )
    if settings.mode == "demo" and installed.mode != "demo":
        raise KeysRefused(
            "This database is in production; demo mode would load fictional people into it. Set"
            " PEERNOTES_MODE=production."
        )


@contextmanager
def opened(settings: Settings, *, pool_size: int = 2) -> Iterator[Opener]:
    """The database for a command's own work, closed again whatever happens."""
    engine = engines.build(settings.database_url, pool_size=pool_size)
    try:
        with answering():
            yield opener(engine)
    finally:
        engine.dispose()


@contextmanager
def answering() -> Iterator[None]:
    """A database that does not answer, or does not let us, in words that say what to do."""
    try:
        yield
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == DENIED:
            raise Unavailable(
                "This database role may not do that: run `peernotes setup` as the role that owns"
                " the tables, then deploy/roles.sql."
            ) from None
        raise Unavailable(
            f"The database does not answer ({reason(error)}): start it, or correct"
            " PEERNOTES_DATABASE_URL."
        ) from None


def private(directory: Path, setting: str) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Unavailable(
            f"{directory} cannot be made ({type(error).__name__}): make it, owned by the service's"
            f" user with mode 0700, or set {setting} elsewhere."
        ) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise Unavailable(
            f"{directory} is not writable: give it to the service's user, or set {setting}"
            " elsewhere."
        )
