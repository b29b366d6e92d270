"""Runs writers, sequencers and a notary as processes, and kills them at random.

    python crash.py DATABASE_URL DIRECTORY SECONDS SEED

What was acknowledged is in DIRECTORY/acknowledged.*, one entry id a line, written after the commit
answered; what went wrong in DIRECTORY/errors.*. The last line printed is the number of kills. This
process has no thread and no connection of its own, so that it may fork.
"""

import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from sqlalchemy.exc import DBAPIError

from service.audit.append import GroupCommit, append
from service.audit.entry import Entry, Kind, Outcome, Touched
from service.audit.log import Ledger
from service.audit.notary import Notary
from service.audit.sequencer import sequence
from service.database import engine as engines
from service.database.ids import uuid7
from service.database.transactions import Transactions
from service.errors import Conflict, Unavailable
from service.vocabulary import Action, EntryId, Micros, PatientId

LEDGER = Ledger(1, bytes(range(32)))
ROLES = ("write", "write", "write", "sequence", "sequence", "notary")
PATIENT = PatientId("22222222-2222-4222-8222-222222222222")


def clock() -> Micros:
    return Micros(time.time_ns() // 1000)


def entry(action: Action) -> Entry:
    at = clock()
    return Entry(
        id=EntryId(uuid7(at)), at=at, kind=Kind.USE, action=action, outcome=Outcome.SUCCESS,
        act=str(uuid4()), agent="someone", client="tablet", role="peer-specialist",
        organisation="", purpose="TREAT", patient=PATIENT,
        touched=(Touched("Encounter", str(uuid4()), 1),), basis="inside", reason="",
    )  # fmt: skip


def write(url: str, directory: Path) -> None:
    opener = Transactions(engines.build(url, pool_size=4))
    group = GroupCommit(Transactions(engines.build(url, pool_size=1)), LEDGER, clock)
    group.start()
    path = directory / f"acknowledged.{os.getpid()}"
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def read_and_write() -> None:
        while True:
            reads, made = [entry(Action.READ) for _ in range(3)], entry(Action.CREATE)
            try:
                group.submit(reads)
                os.write(log, "".join(f"{e.id}\n" for e in reads).encode())
                with opener.write() as connection:
                    hashes = append(connection, LEDGER, [made])
                os.write(log, f"{made.id}\n".encode())
                group.acknowledge(hashes)
            except (Unavailable, DBAPIError):
                continue

    threads = [threading.Thread(target=guarded, args=(directory, read_and_write)) for _ in "123"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sequence_on(url: str, _: Path) -> None:
    opener = Transactions(engines.build(url, pool_size=1))
    while True:
        try:
            sequence(opener, LEDGER, clock())
        except (Conflict, DBAPIError):
            continue
        time.sleep(random.uniform(0, 0.03))  # noqa: S311 (not for secrets)


def sign_on(url: str, directory: Path) -> None:
    opener = Transactions(engines.build(url, pool_size=1))
    notary = Notary(opener, LEDGER, directory / "notary", clock)
    while True:
        try:
            notary.step()
        except DBAPIError:
            continue
        time.sleep(random.uniform(0, 0.03))  # noqa: S311 (not for secrets)


def guarded(directory: Path, work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException:  # noqa: BLE001 (the test reads it)
        (directory / f"errors.{os.getpid()}").write_text(traceback.format_exc())
        os._exit(1)


WORK = {"write": write, "sequence": sequence_on, "notary": sign_on}


def start(role: str, url: str, directory: Path) -> int:
    child = os.fork()
    if child == 0:
        random.seed()
        guarded(directory, lambda: WORK[role](url, directory))
        os._exit(0)
    return child


def main(url: str, directory: Path, seconds: float, seed: int) -> int:
    chance = random.Random(seed)  # noqa: S311 (to repeat a run)
    children = [start(role, url, directory) for role in ROLES]
    kills, until = 0, time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(chance.uniform(0.05, 0.5))
        victim = chance.randrange(len(ROLES))
        os.kill(children[victim], signal.SIGKILL)
        os.waitpid(children[victim], 0)
        kills += 1
        children[victim] = start(ROLES[victim], url, directory)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return kills + len(children)


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))  # noqa: T201
