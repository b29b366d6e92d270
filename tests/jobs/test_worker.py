import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, func, select

from service.database import engine as engines
from service.database.transactions import Transactions
from service.jobs import queue
from service.jobs.queue import SECOND, Job
from service.jobs.tables import job
from service.jobs.worker import Worker
from service.vocabulary import Micros
from tests.conftest import HandClock

effect = Table("test_effect", MetaData(), Column("number", BigInteger))


def enqueue(opener: Transactions, at: Micros, number: int = 1) -> None:
    with opener.write() as connection:
        queue.enqueue(connection, "count", {"number": number}, run_at=at)


def count(connection: Connection, job: Job) -> None:
    connection.execute(effect.insert(), {"number": job.payload["number"]})


def effects(opener: Transactions) -> list[int]:
    with opener.read() as connection:
        return sorted(connection.execute(select(effect.c.number)).scalars())


@pytest.fixture(autouse=True)
def _effect_table(opener: Transactions) -> None:
    with opener.write() as connection:
        effect.create(connection)


def test_a_step_runs_one_due_job_and_commits_effect_and_finish_together(
    opener: Transactions, clock: HandClock
) -> None:
    worker = Worker(opener, clock, {"count": count})
    enqueue(opener, clock(), 7)
    assert worker.step()
    assert not worker.step()
    assert effects(opener) == [7]


def test_a_handler_that_raises_leaves_no_effect_and_is_tried_again(
    opener: Transactions, clock: HandClock
) -> None:
    def fail_once(connection: Connection, job: Job) -> None:
        count(connection, job)
        if job.attempts == 1:
            raise ValueError("Jane Doe")

    worker = Worker(opener, clock, {"count": fail_once})
    enqueue(opener, clock())
    assert worker.step()
    assert effects(opener) == []
    with opener.read() as connection:
        assert connection.execute(select(job.c.error)).scalar_one() == "ValueError"
    assert not worker.step()
    clock.advance(1)
    assert worker.step()
    assert effects(opener) == [1]


def test_a_job_taken_over_meanwhile_has_no_effect_here(
    opener: Transactions, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = queue.claim

    def slow(*args: object) -> Job | None:
        found = claimed(*args)
        clock.advance(61)
        return found

    worker, other = (Worker(opener, clock, {"count": count}) for _ in range(2))
    enqueue(opener, clock())
    with monkeypatch.context() as patch:
        patch.setattr(queue, "claim", slow)
        claim_of_worker = queue.claim
        with opener.write() as connection:
            lost = claim_of_worker(connection, ["count"], clock(), 60 * SECOND)
        assert other.step()
    assert lost is not None
    monkeypatch.setattr(queue, "claim", lambda *_: lost)
    assert worker.step()
    assert effects(opener) == [1]
    with opener.read() as connection:
        assert connection.execute(select(job.c.state)).scalar_one() == "done"


def test_the_thread_runs_what_is_enqueued_and_stops_when_told(
    opener: Transactions, clock: HandClock
) -> None:
    ran = threading.Event()
    worker = Worker(opener, clock, {"count": lambda *_: ran.set()}, poll=30)
    worker.start()
    enqueue(opener, clock())
    worker.wake()
    assert ran.wait(10)
    worker.close()
    assert not worker._thread.is_alive()
    assert worker.failing == ""


def test_a_worker_that_never_started_closes_too(opener: Transactions, clock: HandClock) -> None:
    Worker(opener, clock, {}).close()


def test_a_database_out_of_reach_is_named_and_the_thread_lives(
    clock: HandClock, tmp_path: Path
) -> None:
    engine = engines.build(f"sqlite:///{tmp_path / 'database' / 'bare.db'}")  # without tables
    worker = Worker(Transactions(engine), clock, {"count": count}, poll=0.01)
    worker.start()
    deadline = time.monotonic() + 10
    while not worker.failing and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.failing == "OperationalError:SQLITE_ERROR"
    queue.job.create(engine)
    while worker.failing and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker.failing == ""
    worker.close()
    engine.dispose()


def work_for_ever(url: str) -> None:
    def slowly(connection: Connection, job: Job) -> None:
        count(connection, job)
        time.sleep(random.choice((0, 0, 0.002, 0.06)))  # noqa: S311 (some outlive their lease)

    engine = engines.build(url, pool_size=2)
    now = lambda: Micros(time.time_ns() // 1000)  # noqa: E731
    worker = Worker(Transactions(engine), now, {"count": slowly}, lease_for=SECOND // 25, poll=0.01)
    worker.start()
    worker._thread.join()


def test_processes_killed_at_random_finish_every_job_once(
    database_url: str, opener: Transactions
) -> None:
    jobs = 150
    with opener.write() as connection:
        for number in range(jobs):
            queue.enqueue(connection, "count", {"number": number}, run_at=Micros(number))
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["service.jobs.worker", "service.database.engine"])
    chance, kills = random.Random(), 0  # noqa: S311 (whom to kill)

    def spawn() -> multiprocessing.Process:
        child = processes.Process(target=work_for_ever, args=(database_url,))
        child.start()
        return child

    children = [spawn() for _ in range(3)]
    deadline = time.monotonic() + 120
    ended = select(func.count()).select_from(job).where(job.c.state.in_(("done", "dead")))
    now = last = 0
    while now < jobs and time.monotonic() < deadline:
        time.sleep(chance.uniform(0, 0.1))
        with opener.read() as connection:
            now = connection.execute(ended).scalar_one()
        if now >= last + 15:  # however busy the machine: kill by progress, not by the clock
            victim = chance.randrange(len(children))
            os.kill(children[victim].pid or 0, signal.SIGKILL)
            children[victim].join(10)
            children[victim], kills, last = spawn(), kills + 1, now
    for child in children:
        child.kill()
        child.join(10)
    with opener.read() as connection:
        states = Counter(connection.execute(select(job.c.state)).scalars())
    dead = states.pop("dead", 0)  # one that happened to be in hand at eight kills
    assert states == {"done": jobs - dead}
    done = effects(opener)
    assert len(done) == len(set(done)) == jobs - dead
    assert dead <= 2
    assert kills > 0
