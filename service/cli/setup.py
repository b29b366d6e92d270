"""The first start: directories, schema, keys, ledger, notary. Every step may be run again."""

from pathlib import Path

from service.access.enforce import opener
from service.access.installation import Installation, found, remember
from service.app import LOG, clock
from service.audit.log import initialise
from service.audit.notary import create as create_notary
from service.database import engine as engines
from service.database.opener import Opener
from service.errors import KeysRefused
from service.keys.keyring import start
from service.migrations import upgrade
from service.settings import Settings


def prepare(settings: Settings) -> bool:
    """True when this was the first start. Raises KeysRefused where keys and data do not match."""
    for directory in (settings.data_dir, settings.keyring.parent, settings.notary_dir):
        _private(directory)
    engine = engines.build(settings.database_url, pool_size=2)
    transactions = opener(engine)
    with transactions.write() as connection:
        if not upgrade.is_newest(connection):
            upgrade.to_newest(connection)
    first = _agree(settings, transactions)
    engine.dispose()
    return first


def _agree(settings: Settings, transactions: Opener) -> bool:
    """Installation, keys and ledger: made together the first time, compared ever after."""
    with transactions.read() as connection:
        installed = found(connection)
    if installed:
        _demand_mode(settings, installed)
        start(transactions, settings.keyring, create=False, at=clock())
        return False
    keyring = start(transactions, settings.keyring, create=True, at=clock())
    origin = f"peernotes/{keyring.tenant}/1"
    with transactions.write() as connection:
        initialise(connection, origin, clock(), log=LOG)
        remember(connection, Installation(settings.mode, origin, clock()))
    create_notary(settings.notary_dir, origin)
    return True


def _demand_mode(settings: Settings, installed: Installation) -> None:
    if settings.mode == "production" and installed.mode != "production":
        raise KeysRefused(
            "This database was set up with demo keys and demo accounts; production refuses it. Set"
            " PEERNOTES_DATA_DIR and PEERNOTES_DATABASE_URL to an empty place and start again."
        )


def _private(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
