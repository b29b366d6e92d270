"""The load generator: keep-alive connections, each sends its next request when it was answered.

Requests are bytes made beforehand, answers are counted and not parsed: it shares the cores with
what it measures, so it has to be cheap. Its own processor time is reported beside the result.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import uvloop

CONNECTIONS = 16
PATIENCE = 30.0  # seconds after the last request; then the run has failed


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a load. `latencies` are sorted seconds."""

    seconds: float
    latencies: list[float]
    refused: int
    own_cpu: float

    @property
    def answered(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        return self.answered / self.seconds

    def percentile(self, share: float) -> float:
        """Milliseconds within which `share` of the requests were answered."""
        return self.latencies[min(int(share * self.answered), self.answered - 1)] * 1000


@dataclass(slots=True)
class Tally:
    """Shared by the connections of one run; `until` is when they stop to send."""

    requests: Iterator[bytes]
    until: float
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    first_refusal: bytes = b""
    exhausted: bool = False


class Connection(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self, tally: Tally, done: asyncio.Future[None]) -> None:
        self._tally, self._done = tally, done
        self._sent = 0.0
        self._awaited = 0  # bytes of the answer that are still to come; 0 before its head
        self._head = b""
        self._good = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's has no such base
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._awaited:
            self._awaited -= len(data)
        else:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._good = self._head[9:10] == b"2"
            if not self._good and not self._tally.first_refusal:
                self._tally.first_refusal = self._head
            start = self._head.find(b"content-length: ") + 16
            length = int(self._head[start : self._head.find(b"\r", start)])
            self._awaited = end + 4 + length - len(self._head)
        if self._awaited == 0:
            self._answered()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionError("the server hung up"))

    def _answered(self) -> None:
        now = time.perf_counter()
        if self._good:
            self._tally.latencies.append(now - self._sent)
        else:
            self._tally.refused += 1
        self._head = b""
        if now < self._tally.until:
            self._send()
        else:
            self._finish()

    def _send(self) -> None:
        request = next(self._tally.requests, None)
        if request is None:
            self._tally.exhausted = True
            self._finish()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def _finish(self) -> None:
        self._done.set_result(None)
        self._transport.close()


def drive(port: int, requests: Iterable[bytes], seconds: float) -> Run:
    """Keep the server busy for `seconds`. Raises RuntimeError if it refuses or requests run out."""
    return uvloop.run(_drive(port, iter(requests), seconds))


async def _drive(port: int, requests: Iterator[bytes], seconds: float) -> Run:
    loop = asyncio.get_running_loop()
    began, cpu = time.perf_counter(), time.process_time()
    tally = Tally(requests, began + seconds)
    ends = [loop.create_future() for _ in range(CONNECTIONS)]
    for end in ends:
        await loop.create_connection(partial(Connection, tally, end), "127.0.0.1", port)
    async with asyncio.timeout(seconds + PATIENCE):
        await asyncio.gather(*ends)
    took = time.perf_counter() - began
    if tally.refused:
        raise RuntimeError(f"{tally.refused} requests were refused: {tally.first_refusal[:900]!r}")
    if tally.exhausted and took < seconds / 2:
        raise RuntimeError("The prepared requests ran out: the figure would say nothing.")
    return Run(took, sorted(tally.latencies), tally.refused, time.process_time() - cpu)
