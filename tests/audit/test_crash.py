"""Killed at any moment, the ledger has what it acknowledged, once, under consistent checkpoints.

CRASH_SECONDS makes it a soak (`make soak`); CRASH_SEED repeats a run.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from random import randrange

from hands import Log, in_order
from sqlalchemy import Engine, text

from service.audit import search
from service.audit.checkpoint import Policy
from service.audit.compare import compare
from service.audit.entry import Kind, parse
from service.audit.notary import verifier_key
from service.audit.tree import Frontier, leaf_hash
from service.audit.verify import HOLDS, verify_log

SECONDS = float(os.environ.get("CRASH_SECONDS", "8"))


def test_killed_at_random_it_has_lost_nothing_it_acknowledged(
    log: Log, engine: Engine, database_url: str
) -> None:
    seed = int(os.environ.get("CRASH_SEED", randrange(2**32)))  # noqa: S311 (printed, to repeat)
    directory = log.directory.parent
    script = Path(__file__).parent / "crash.py"
    done = subprocess.run(
        [sys.executable, str(script), database_url, str(directory), str(SECONDS), str(seed)],
        cwd=script.parents[2], env=os.environ | {"PYTHONPATH": str(script.parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"seed {seed}: {done.stderr}"
    errors = [path.read_text() for path in directory.glob("errors.*")]
    assert not errors, f"seed {seed}: {errors[0]}"
    settle(log, engine)

    acknowledged = {
        identity
        for path in directory.glob("acknowledged.*")
        for identity in path.read_text().split("\n")[:-1]
    }
    leaves = in_order(log)
    entries = [parse(leaf)[0] for leaf in leaves]
    told = f"seed {seed}, {done.stdout.strip()} kills, {len(entries)} entries"
    assert acknowledged, told
    assert acknowledged <= {e.id for e in entries}, told
    assert Kind.LEDGER_GAP not in {e.kind for e in entries}, told
    with log.opener.read() as connection:
        assert compare(connection, log.ledger, log.clock()) == [], told
        policy = Policy.parse(f"log {verifier_key(log.directory)}\nquorum none\n")
        report = verify_log(lambda path: search.served(connection, path), policy)
        assert report.verdict == HOLDS, list(report.lines())
    consistent(log, leaves, policy)
    print(told)  # noqa: T201


def settle(log: Log, engine: Engine) -> None:
    """What the server still does for the dead ends by itself; then drain the queue."""
    deadline = time.monotonic() + 10
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state <> 'idle'"
    )
    while engine.dialect.name == "postgresql" and time.monotonic() < deadline:
        with log.opener.read() as connection:
            if not connection.execute(others).scalar_one():
                break
        time.sleep(0.1)
    while log.sequence():
        pass
    log.notary.step()
    assert log.one("SELECT count(*) FROM ledger_pending") == 0


def consistent(log: Log, leaves: list[bytes], policy: Policy) -> None:
    """Every checkpoint ever stored is of a tree that the last one begins with."""
    notes = {row.size: row.note for row in log.sql("SELECT size, note FROM ledger_checkpoint")}
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
        if tree.size in notes:
            checkpoint = policy.open(notes.pop(tree.size)).checkpoint
            assert (checkpoint.size, checkpoint.root) == (tree.size, tree.root())
    assert not notes
