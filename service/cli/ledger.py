"""`peernotes ledger`: verify it, offline or against the database; print whom to believe."""

from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

from service.app import LOG, clock
from service.audit import search, verify
from service.audit.checkpoint import Policy
from service.audit.compare import compare
from service.audit.crosscheck import crosscheck
from service.audit.log import Ledger
from service.cli.offline import policy
from service.cli.setup import opened
from service.keys.keyring import start
from service.settings import Settings

HOLDS, TAMPERED = 0, 1


def add_to(commands: Any) -> None:  # noqa: ANN401 (argparse names no type for it)
    parser = commands.add_parser(
        "ledger",
        help="verify the ledger, or print its policy",
        description="Exit codes of verify: 0 holds, 1 tampered, 2 could not check.",
        epilog="Example: peernotes ledger verify log/ --policy policy.txt --since last-checkpoint",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser(
        "verify",
        help="verify a downloaded directory, or (without DIR) the configured database",
        epilog="Example: peernotes ledger verify",
    )
    check.add_argument("directory", nargs="?", metavar="DIR", type=Path)
    check.add_argument("--policy", type=Path, help="whose signatures count (see `ledger policy`)")
    check.add_argument("--since", type=Path, help="a checkpoint saved before")
    actions.add_parser(
        "policy",
        help="print the policy to keep",
        epilog="Example: peernotes ledger policy > policy.txt",
    )
    parser.set_defaults(run=run)


def run(arguments: Namespace, settings: Settings) -> int:
    match arguments.action:
        case "policy":
            print(policy(settings), end="")
            return 0
        case _ if arguments.directory:
            return _directory(arguments)
        case _:
            return _database(settings)


def _directory(arguments: Namespace) -> int:
    if arguments.policy is None:
        raise ValueError("A directory is verified against a policy: --policy FILE.")
    given = [str(arguments.directory), "--policy", str(arguments.policy)]
    return verify.main(given + (["--since", str(arguments.since)] if arguments.since else []))


def _database(settings: Settings) -> int:
    """Every step, 5 and 7 included: what is searched by and what is stored agree with the log."""
    with opened(settings) as transactions, transactions.read() as connection:
        keyring = start(transactions, settings.keyring, create=False, at=clock())
        ledger = Ledger(LOG, keyring.ingest_key)
        report = verify.verify_log(
            partial(search.served, connection), Policy.parse(policy(settings))
        )
        for line in report.lines():
            print(line)
        worst = report.verdict
        steps = ((5, compare(connection, ledger, clock())), (7, crosscheck(connection)))
        for step, findings in steps:
            for finding in findings:
                print(f"Step {step}: {finding.where} {finding.what}")
                worst = TAMPERED
    if worst == HOLDS:
        print("Steps 5 and 7 hold: index copies and stored records agree with the log.")
    return worst
