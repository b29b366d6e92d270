"""The queue: enqueue with the work that wants it, claim under a lease, finish exactly once.

A lease only picks who runs. What makes a job happen once is that `finish` matches id *and* lease in
the same transaction as the effects: call it first, and its row lock keeps the job from being
claimed again until that transaction ends. So `at` may come from each machine's own clock: skew
costs an attempt, never a second effect.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from sqlalchemy import Connection, bindparam, case, delete, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from service.errors import Conflict
from service.jobs.tables import LIVE, job
from service.vocabulary import Micros

MOST_ATTEMPTS = 8
SECOND = 1_000_000
LONGEST_WAIT = 3600 * SECOND

Payload = Mapping[str, str | int | bool | None]
"""Ids and codes. Names, notes and anything else about a person stay sealed where they are."""

_UNIQUE = (job.c.kind, job.c.dedupe)
# RETURNING tells whether a row was made; an INSERT's row count does not (psycopg: -1).
_ENQUEUE = {
    "sqlite": sqlite.insert(job)
    .on_conflict_do_nothing(index_elements=_UNIQUE, index_where=text(LIVE))
    .returning(job.c.id),
    "postgresql": postgresql.insert(job)
    .on_conflict_do_nothing(index_elements=_UNIQUE, index_where=text(LIVE))
    .returning(job.c.id),
}
_due = job.alias("due")
_SPENT = job.c.attempts >= bindparam("most")
_CLAIM = (
    update(job)
    # `=`, not IN: PostgreSQL may evaluate a subquery again for IN, and claim more than one.
    .where(
        job.c.id
        == select(_due.c.id)
        .where(
            _due.c.state.in_(("ready", "leased")),
            _due.c.run_at <= bindparam("at"),
            _due.c.kind.in_(bindparam("kinds", expanding=True)),
        )
        .order_by(_due.c.run_at, _due.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    # Attempts count at claim, so a job that kills its worker reaches the dead letters too.
    .values(
        state=case((_SPENT, "dead"), else_="leased"),
        attempts=case((_SPENT, job.c.attempts), else_=job.c.attempts + 1),
        lease=case((_SPENT, None), else_=bindparam("fresh", type_=job.c.lease.type)),
        run_at=bindparam("until"),
    )
    .returning(job.c.id, job.c.kind, job.c.payload, job.c.attempts, job.c.state)
)
_HELD = (
    job.c.id == bindparam("job"),
    job.c.lease == bindparam("held"),
    job.c.state == "leased",
)
_RENEW = update(job).where(*_HELD).values(run_at=bindparam("until"))
_END = (
    update(job)
    .where(*_HELD)
    .values(state=bindparam("ends"), run_at=bindparam("when"), error=bindparam("why"), lease=None)
)


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed job; `id` is also the idempotency key of effects outside the database."""

    id: str
    kind: str
    payload: Payload
    attempts: int
    lease: str


def enqueue(
    connection: Connection, kind: str, payload: Payload, *, run_at: Micros,
    dedupe: str | None = None,
) -> str | None:  # fmt: skip
    """The new job's id, or None: one with this `dedupe` is live already.

    Commits or rolls back with the caller's work. While such a job is being finished this waits
    for that transaction (PostgreSQL), so a job wanted during a run is never lost to that run.
    """
    row = {
        "id": str(uuid4()),
        "kind": kind,
        "payload": json.dumps(payload, separators=(",", ":"), sort_keys=True),
        "state": "ready",
        "run_at": run_at,
        "attempts": 0,
        "lease": None,
        "error": "",
        "dedupe": dedupe,
    }
    return connection.execute(_ENQUEUE[connection.dialect.name], row).scalar()


def claim(
    connection: Connection, kinds: Collection[str], at: Micros, lease_for: int,
    *, most: int = MOST_ATTEMPTS,
) -> Job | None:  # fmt: skip
    """The job longest due, leased until `at + lease_for` (microseconds); commit before running it.

    An expired lease is due again. Jobs out of attempts are laid among the dead on the way.
    """
    while True:
        fresh = str(uuid4())
        found = connection.execute(
            _CLAIM,
            {
                "kinds": list(kinds), "at": at, "until": at + lease_for, "fresh": fresh,
                "most": most,
            },
        ).first()  # fmt: skip
        if found is None:
            return None
        if found.state == "leased":
            payload: Payload = json.loads(found.payload)
            return Job(found.id, found.kind, payload, found.attempts, fresh)


def renew(connection: Connection, job: Job, at: Micros, lease_for: int) -> None:
    """Hold it longer; Conflict if the lease is lost."""
    _held(connection.execute(_RENEW, _named(job) | {"until": at + lease_for}).rowcount)


def finish(connection: Connection, job: Job, at: Micros) -> None:
    """Done, if the lease still holds; else Conflict, and whatever this transaction did goes."""
    ended = {"ends": "done", "when": at, "why": ""}
    _held(connection.execute(_END, _named(job) | ended).rowcount)


def fail(
    connection: Connection, job: Job, error: str, at: Micros, *, most: int = MOST_ATTEMPTS
) -> Literal["ready", "dead"]:
    """Try again after 1, 2, 4 ... seconds, an hour at most; dead after `most` attempts.

    `error` is a class name: messages carry data.
    """
    state: Literal["ready", "dead"] = "dead" if job.attempts >= most else "ready"
    wait = 0 if state == "dead" else min(SECOND * 2 ** (job.attempts - 1), LONGEST_WAIT)
    ended = {"ends": state, "when": at + wait, "why": error[:80]}
    _held(connection.execute(_END, _named(job) | ended).rowcount)
    return state


def prune(connection: Connection, before: Micros) -> int:
    """Forget jobs done before then. Dead ones stay until somebody has looked at them."""
    done = delete(job).where(job.c.state == "done", job.c.run_at < before)
    return connection.execute(done).rowcount


def _named(job: Job) -> dict[str, object]:
    return {"job": job.id, "held": job.lease}


def _held(rows: int) -> None:
    if rows != 1:
        raise Conflict("The lease on this job is lost: somebody else has it, or it is done.")
