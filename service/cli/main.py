"""The command `peernotes`: one module a subcommand, every one with an example in its --help."""

import argparse
import os
import sys
from collections.abc import Sequence

from service.cli import accounts, demo, ledger, loading, run, upkeep
from service.errors import PeernotesError
from service.settings import from_environment

COMMANDS = (run, demo, loading, ledger, accounts, upkeep)


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
    try:
        settings = from_environment(os.environ)
        code: int = chosen.run(chosen, settings)
    except (PeernotesError, ValueError) as error:
        print(f"peernotes: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code)
