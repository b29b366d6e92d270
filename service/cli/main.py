"""The command `peernotes`: one module a subcommand, every one with an example in its --help."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from service.cli import accounts, demo, ledger, loading, notary, run, setup, upkeep
from service.errors import PeernotesError
from service.settings import from_environment

COMMANDS = (run, setup, demo, loading, ledger, notary, accounts, upkeep)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="peernotes",
        description="Case notes of peer support specialists: offline to write, FHIR to read,"
        " consent and audit built in.",
        epilog="Settings come from PEERNOTES_* variables; see docs/operations.md."
        " Example: PEERNOTES_PORT=8080 peernotes run",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        module.add_to(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit codes: 0 done, 1 refused or failed, 2 misused."""
    chosen = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        settings = from_environment(os.environ)
        with setup.answering():
            code: int = chosen.run(chosen, settings)
    except (PeernotesError, ValueError) as error:
        print(f"peernotes: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code)


def _terminated(_number: int, _frame: object) -> None:
    """SIGTERM unwinds like any exit, so that what is open is closed in order."""
    sys.exit(0)
