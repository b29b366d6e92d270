"""`peernotes keys rotate`: a new root and key-encryption key; keys are rewrapped, never records."""

from argparse import Namespace
from typing import Any

from service.app import clock
from service.cli.setup import opened
from service.keys import rotation
from service.settings import Settings


def add_to(commands: Any) -> None:  # noqa: ANN401 (argparse names no type for it)
    parser = commands.add_parser(
        "keys",
        help="rotate the root key",
        description="Resumable: run it again after an interruption. Back up the keyring first.",
        epilog="Example: peernotes keys rotate",
    )
    parser.add_argument("action", choices=["rotate"])
    parser.set_defaults(run=run)


def run(_arguments: Namespace, settings: Settings) -> int:
    with opened(settings) as transactions:
        count = rotation.rotate(transactions, settings.keyring, at=clock())
    print(f"{count} keys are wrapped under the new key; no record was touched.")
    return 0
