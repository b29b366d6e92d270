import pytest
from sqlalchemy import select

from service.database.transactions import Transactions
from service.errors import Conflict
from service.jobs import queue
from service.jobs.queue import SECOND, Job
from service.jobs.tables import job
from service.vocabulary import Micros
from tests.conftest import HandClock

LEASE = 60 * SECOND


def enqueue(opener: Transactions, at: int, kind: str = "rewrap", **more: object) -> str | None:
    with opener.write() as connection:
        return queue.enqueue(connection, kind, {"after": "a"}, run_at=Micros(at), **more)


def claim(opener: Transactions, at: int, *kinds: str, **more: object) -> Job | None:
    with opener.write() as connection:
        return queue.claim(connection, kinds or ("rewrap",), Micros(at), LEASE, **more)


def row(opener: Transactions, id: str | None) -> dict:
    with opener.read() as connection:
        return dict(connection.execute(select(job).where(job.c.id == id)).mappings().one())


def test_a_job_is_claimed_with_its_payload_and_finished_once(
    opener: Transactions, clock: HandClock
) -> None:
    made = enqueue(opener, clock())
    mine = claim(opener, clock())
    assert mine is not None
    assert (mine.id, mine.kind, mine.payload, mine.attempts) == (made, "rewrap", {"after": "a"}, 1)
    assert claim(opener, clock()) is None
    with opener.write() as connection:
        queue.finish(connection, mine, clock())
    with pytest.raises(Conflict), opener.write() as connection:
        queue.finish(connection, mine, clock())
    assert row(opener, made)["state"] == "done"


def test_an_enqueue_goes_the_way_of_the_transaction_it_was_made_in(
    opener: Transactions, clock: HandClock
) -> None:
    with pytest.raises(LookupError), opener.write() as connection:
        queue.enqueue(connection, "rewrap", {}, run_at=clock())
        raise LookupError
    assert claim(opener, clock()) is None


def test_the_longest_due_of_the_wanted_kinds_comes_first_and_none_early(
    opener: Transactions, clock: HandClock
) -> None:
    late = enqueue(opener, clock() + 5)
    other = enqueue(opener, clock() - 9, "export")
    soon = enqueue(opener, clock() - 1)
    found = claim(opener, clock())
    assert found is not None
    assert found.id == soon
    assert claim(opener, clock()) is None
    for wanted in (other, late):
        found = claim(opener, clock() + 5, "rewrap", "export")
        assert found is not None
        assert found.id == wanted


def test_an_expired_lease_is_due_again_and_the_late_worker_is_refused(
    opener: Transactions, clock: HandClock
) -> None:
    enqueue(opener, clock())
    slow = claim(opener, clock())
    assert slow is not None
    clock.advance(61)
    quick = claim(opener, clock())
    assert quick is not None
    assert (quick.id, quick.attempts) == (slow.id, 2)
    for act in (
        lambda c: queue.finish(c, slow, clock()),
        lambda c: queue.renew(c, slow, clock(), LEASE),
        lambda c: queue.fail(c, slow, "TimeoutError", clock()),
    ):
        with pytest.raises(Conflict), opener.write() as connection:
            act(connection)
    with opener.write() as connection:
        queue.finish(connection, quick, clock())


def test_a_renewed_lease_lasts_longer(opener: Transactions, clock: HandClock) -> None:
    enqueue(opener, clock())
    mine = claim(opener, clock())
    assert mine is not None
    clock.advance(59)
    with opener.write() as connection:
        queue.renew(connection, mine, clock(), LEASE)
    clock.advance(59)
    assert claim(opener, clock()) is None
    clock.advance(2)
    assert claim(opener, clock()) is not None


def test_failures_wait_twice_as_long_each_time_and_end_among_the_dead(
    opener: Transactions, clock: HandClock
) -> None:
    made = enqueue(opener, clock())
    waits = []
    for _ in range(queue.MOST_ATTEMPTS):
        mine = claim(opener, clock())
        assert mine is not None
        with opener.write() as connection:
            queue.fail(connection, mine, "TimeoutError", clock())
        waits.append((row(opener, made)["run_at"] - clock()) // SECOND)
        clock.advance(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, 64, 0]
    assert (row(opener, made)["state"], row(opener, made)["error"]) == ("dead", "TimeoutError")
    clock.advance(10**6)
    assert claim(opener, clock()) is None


def test_a_job_that_kills_its_workers_ends_among_the_dead_and_blocks_no_other(
    opener: Transactions, clock: HandClock
) -> None:
    killer = enqueue(opener, clock())
    for _ in range(3):
        assert claim(opener, clock(), most=3) is not None
        clock.advance(61)
    other = enqueue(opener, clock())
    found = claim(opener, clock(), most=3)
    assert found is not None
    assert found.id == other
    assert (row(opener, killer)["state"], row(opener, killer)["attempts"]) == ("dead", 3)


def test_dedupe_holds_among_live_jobs_of_a_kind_only(
    opener: Transactions, clock: HandClock
) -> None:
    assert enqueue(opener, clock(), dedupe="daily")
    assert enqueue(opener, clock(), dedupe="daily") is None
    assert enqueue(opener, clock(), "export", dedupe="daily")
    assert enqueue(opener, clock() + 1)
    mine = claim(opener, clock())
    assert mine is not None
    assert enqueue(opener, clock(), dedupe="daily") is None
    with opener.write() as connection:
        queue.finish(connection, mine, clock())
    assert enqueue(opener, clock(), dedupe="daily")


def test_a_job_may_enqueue_its_own_successor_once_it_is_finished(
    opener: Transactions, clock: HandClock
) -> None:
    enqueue(opener, clock(), dedupe="daily")
    mine = claim(opener, clock())
    assert mine is not None
    with opener.write() as connection:
        queue.finish(connection, mine, clock())
        again = Micros(clock() + 86_400 * SECOND)
        assert queue.enqueue(connection, "rewrap", {}, run_at=again, dedupe="daily")


def test_pruning_forgets_old_finished_jobs_only(opener: Transactions, clock: HandClock) -> None:
    done, live = enqueue(opener, clock() - 1), enqueue(opener, clock())
    mine = claim(opener, clock())
    assert mine is not None
    with opener.write() as connection:
        queue.finish(connection, mine, clock())
        assert queue.prune(connection, clock()) == 0
        assert queue.prune(connection, Micros(clock() + 1)) == 1
    with opener.read() as connection:
        assert connection.execute(select(job.c.id)).scalars().all() == [live]
    assert done != live
