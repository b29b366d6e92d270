"""A thread that claims jobs and runs them, each in the one transaction that also finishes it."""

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from service.database.faults import reason
from service.database.opener import Opener
from service.errors import Conflict
from service.jobs import queue
from service.jobs.queue import SECOND, Job
from service.vocabulary import Micros

Handler = Callable[[Connection, Job], None]
"""Does the job's work on the connection it is given, and commits nothing itself.

Keep it short: on SQLite it holds the writer. Long work does one slice and enqueues the next.
"""

POLL = 1.0
LEASE = 60 * SECOND


class Worker:
    """Runs the kinds it has handlers for. Many may run, in many processes.

    `failing` names the last database error while there is one; readiness shows it.
    """

    def __init__(
        self, opener: Opener, clock: Callable[[], Micros], handlers: Mapping[str, Handler],
        *, lease_for: int = LEASE, poll: float = POLL,
    ) -> None:  # fmt: skip
        self.failing = ""
        self._opener = opener
        self._clock = clock
        self._handlers = dict(handlers)
        self._lease_for = lease_for
        self._poll = poll
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self, timeout: float = 30.0) -> None:
        """Ends after the job in hand; one cut off here is due again when its lease ends."""
        self._stopping.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def wake(self) -> None:
        """Look now, not at the next poll: something was just enqueued and committed here."""
        self._woken.set()

    def step(self) -> bool:
        """Run one due job to its end, well or badly; False if there is none."""
        # 1. The claim is durable before the work begins: a job that kills us has used an attempt.
        with self._opener.write() as connection:
            job = queue.claim(connection, self._handlers, self._clock(), self._lease_for)
        if job is None:
            return False
        try:
            with self._opener.write() as connection:
                # 2. Finished first: the row is ours until this commits, however long it takes.
                queue.finish(connection, job, self._clock())
                self._handlers[job.kind](connection, job)
            # 3. Effects and finish are durable together.
        except Exception as error:  # noqa: BLE001 (whatever it was, the job is tried again or dead)
            with suppress(Conflict), self._opener.write() as connection:
                queue.fail(connection, job, type(error).__name__, self._clock())
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                busy = self.step()
                self.failing = ""
            except DBAPIError as error:  # the lease ends by itself; look again when it may be back
                busy, self.failing = False, reason(error)
            if not busy and not self._stopping.is_set():
                self._woken.wait(self._poll)
