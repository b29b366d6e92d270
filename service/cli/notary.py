"""`peernotes notary`: the ledger's machines as a process of their own, for PostgreSQL.

The sequencer puts entries into the tree; the notary, with a key and a memory that the service
cannot reach, signs what is consistent with what it signed before.
"""

import signal
import threading
from argparse import Namespace
from typing import Any

from rich.console import Console

from service.access.installation import found
from service.app import LOG, clock
from service.audit import memory, search
from service.audit.log import Ledger
from service.audit.notary import Notary
from service.audit.sequencer import Sequencer
from service.cli.setup import found_notary, opened, private
from service.database.opener import Opener
from service.errors import KeysRefused
from service.keys.keyring import start
from service.migrations import upgrade
from service.settings import Settings

LOOK = 5.0
"""Seconds between looks at whether the machines are well."""


def add_to(commands: Any) -> None:  # noqa: ANN401 (argparse names no type for it)
    parser = commands.add_parser(
        "notary",
        help="run the ledger's sequencer and notary apart from the service",
        description="For PostgreSQL, beside `peernotes run` with PEERNOTES_MACHINES=no. Its"
        " directory (PEERNOTES_NOTARY_DIR) belongs to it alone.",
        epilog="Example: PEERNOTES_NOTARY_DIR=/var/lib/peernotes-notary peernotes notary",
    )
    parser.add_argument(
        "--only", choices=["sequencer", "notary"], help="one of the two, under a role of its own"
    )
    parser.set_defaults(run=run)


def run(arguments: Namespace, settings: Settings) -> int:
    with opened(settings, pool_size=4) as transactions:
        origin = _origin(transactions)
        keyring = start(transactions, settings.keyring, create=False, at=clock())
        ledger = Ledger(LOG, keyring.ingest_key)
        machines: list[Sequencer | Notary] = []
        if arguments.only != "notary":
            machines.append(Sequencer(transactions, ledger, clock))
        if arguments.only != "sequencer":
            _agree(transactions, settings, origin)
            machines.append(Notary(transactions, ledger, settings.notary_dir, clock))
        return _attend(machines, Console(stderr=True))


def _origin(transactions: Opener) -> str:
    with transactions.read() as connection:
        installed = found(connection) if upgrade.has_schema(connection) else None
    if installed is None:
        raise KeysRefused("This database is not set up yet: run `peernotes setup` or `run` first.")
    return installed.origin


def _agree(transactions: Opener, settings: Settings, origin: str) -> None:
    """A key is made for a log that nobody signed yet, and for no other."""
    if not (settings.notary_dir / memory.KEY).exists():
        with transactions.read() as connection:
            signed = search.checkpoint(connection)
        if signed:
            raise KeysRefused(
                f"This ledger was signed before, but {settings.notary_dir} holds no notary: restore"
                " it, or correct PEERNOTES_NOTARY_DIR. A new one would sign a second past."
            )
    private(settings.notary_dir, "PEERNOTES_NOTARY_DIR")
    found_notary(settings.notary_dir, origin)


def _attend(machines: list[Sequencer | Notary], console: Console) -> int:
    """Until SIGTERM or Ctrl-C, or until the notary refuses: that is for people to look at."""
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    for machine in machines:
        machine.start()
    console.print(f"Running: {', '.join(type(each).__name__.lower() for each in machines)}.")
    alarm = ""
    while not alarm and not ending.wait(LOOK):
        alarm = next((each.alarm for each in machines if isinstance(each, Notary)), "")
    for machine in reversed(machines):
        machine.close()
    if alarm:
        console.print(f"[bold red]The notary refuses to sign:[/] {alarm} The log is frozen.")
    return 1 if alarm else 0
