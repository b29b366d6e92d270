"""Group commit: entries of reads, refusals and sign-ins, made durable together by one thread.

There is no timer: a batch is whatever gathered while the one before was being flushed. Give it an
opener on a connection of its own: callers who hold the whole pool would wait for each other.
Whatever goes wrong, the callers are told Unavailable and disclose nothing; an entry may then stand
for an access that reached nobody, never the reverse (audit reference, section 2).
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from service.audit.entry import Entry
from service.audit.ingest import Row, write
from service.audit.log import Ledger
from service.audit.stream import BEATEN, Stream
from service.database.opener import Opener
from service.errors import Malformed, PeernotesError, Unavailable
from service.vocabulary import Micros

MOST_TOGETHER = 1_024
MOST_QUEUED = 4_096
PATIENCE = 2.0  # seconds a caller waits for the flush
BEAT = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0

Clock = Callable[[], Micros]


class _Waiting:
    """One caller: its entries, and the lock that is released when their fate is known."""

    __slots__ = ("entries", "failure", "flushed")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.failure: PeernotesError | None = None
        self.flushed = threading.Lock()
        self.flushed.acquire()

    def wake(self, failure: PeernotesError | None) -> None:
        self.failure = failure
        self.flushed.release()


class GroupCommit:
    """One per process. `submit` from any thread; `close` writes what is queued, then ends."""

    def __init__(self, opener: Opener, ledger: Ledger, clock: Clock) -> None:
        self._opener, self._ledger, self._clock = opener, ledger, clock
        self._changed = threading.Condition(threading.Lock())
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._written: list[bytes] = []  # acknowledged writes of lane W that no beat names yet
        self._stream = Stream(ledger)
        self._closing = False
        self._flushing_since: float | None = None
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="ledger-append", daemon=True)

    @property
    def healthy(self) -> bool:
        """False before the stream is open, after a failed flush, and while a flush hangs."""
        since = self._flushing_since
        hangs = since is not None and time.monotonic() - since > PATIENCE
        return self._thread.is_alive() and self._stream.durable >= 0 and not hangs

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def submit(self, entries: Sequence[Entry]) -> None:
        """Return once the entries are durable; Unavailable if that cannot be said in 2 seconds."""
        if not entries:
            return
        mine = _Waiting(entries)
        with self._changed:
            if self._closing or not self._thread.is_alive():
                raise Unavailable("The ledger is not running.")
            if self._queued + len(entries) > MOST_QUEUED:
                raise Unavailable("The ledger's queue is full.")
            self._queue.append(mine)
            self._queued += len(entries)
            self._changed.notify()
        if not mine.flushed.acquire(timeout=PATIENCE):
            raise Unavailable("The ledger did not answer in time.")
        if mine.failure is not None:
            raise mine.failure

    def acknowledge(self, leaf_hashes: Iterable[bytes]) -> None:
        """Lane W entries whose transaction has committed: the next beat vouches for them."""
        with self._changed:
            self._written.extend(leaf_hashes)

    def _run(self) -> None:
        beat_at = time.monotonic() + BEAT
        closing = False
        while not closing:
            callers, closing = self._gather(beat_at)
            beating = closing or time.monotonic() >= beat_at
            if self._stream.durable >= 0 and not callers and not beating:
                continue
            if beating:
                beat_at = time.monotonic() + BEAT
            self._flush(callers, beating=beating, closing=closing)
            if self._failures and not closing:
                self._pause()

    def _gather(self, until: float) -> tuple[list[_Waiting], bool]:
        """Wait for callers, and take up to 1,024 entries; True when these are the last."""
        with self._changed:
            if self._stream.durable >= 0:
                while not self._queue and not self._closing:
                    left = until - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
            callers: list[_Waiting] = []
            count = 0
            while self._queue and (
                not callers or count + len(self._queue[0].entries) <= MOST_TOGETHER
            ):
                callers.append(self._queue.popleft())
                count += len(callers[-1].entries)
            self._queued -= count
            return callers, self._closing and not self._queue

    def _flush(self, callers: list[_Waiting], *, beating: bool, closing: bool) -> None:
        stream, at = self._stream, self._clock()
        with self._changed:
            written = self._written if beating else []
            if beating:
                self._written = []
        rows = [stream.opening(at)] if stream.tried < 0 else []
        placed = [w for w in callers if self._place(w, rows)]
        if beating:
            chunks = range(0, max(len(written), 1), BEATEN)
            rows += [stream.beat(at, written[i : i + BEATEN]) for i in chunks]
        if closing:
            rows.append(stream.closing(at))
        self._flushing_since = time.monotonic()
        try:
            with self._opener.write() as connection:
                write(connection, self._ledger, rows, queue=True)
        except Exception:  # noqa: BLE001 (whatever it is, nobody may be told that it is durable)
            self._failed(placed, written)
        else:  # the rows are durable
            stream.acknowledged()
            self._failures = 0
            for caller in placed:
                caller.wake(None)
        finally:
            self._flushing_since = None

    def _place(self, caller: _Waiting, rows: list[Row]) -> bool:
        """Give a caller's entries their places; an entry with no canonical form fails it alone."""
        mark = self._stream.mark()
        try:
            rows += [self._stream.place(entry) for entry in caller.entries]
        except Malformed as error:
            self._stream.rewind(mark)
            caller.wake(error)
            return False
        return True

    def _failed(self, callers: list[_Waiting], written: list[bytes]) -> None:
        """Nobody knows what the commit left: end the stream, refuse the whole batch."""
        self._stream = Stream(self._ledger, before=self._stream)
        self._failures += 1
        with self._changed:
            self._written = written + self._written
        for caller in callers:
            caller.wake(Unavailable("The ledger could not be written."))

    def _pause(self) -> None:
        longest = min(FIRST_PAUSE * 2 ** (self._failures - 1), LONGEST_PAUSE)
        with self._changed:
            self._changed.wait_for(lambda: self._closing, longest)
