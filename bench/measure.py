"""One place to measure: a database of some size, the service and its floor on it, load after load.

Service and floor take turns in short rounds, so that whatever else the machine does meets both.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
from sqlalchemy import Engine, create_engine, make_url, text

from bench import floor, machine, requests, serving, town
from bench.load import Run, drive
from bench.seed import Callers
from bench.serving import Database, Server

INSERT, SELECT = "floor: insert", "floor: select"
CREATE, READ, SEARCH = "create", "read", "search, 20 newest"
OUTSIDE_READ, OUTSIDE_SEARCH = "read, outside by consent", "search, outside by consent"
SESSION = "log a session"
LOADS = (INSERT, SELECT, CREATE, READ, SEARCH, OUTSIDE_READ, OUTSIDE_SEARCH, SESSION)
FASTEST = 7_000
"""Requests prepared for a second of load: more than any server here answers."""
FEWER = {SESSION: 1_500, CREATE: 3_000, INSERT: 5_000}


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, and on how many processes. `rounds` of `seconds`, each after `warm` seconds."""

    sizes: tuple[int, ...]
    people: int
    rounds: int
    seconds: float
    warm: float
    workers: int


@dataclass(frozen=True, slots=True)
class Figure:
    """One load on one database of one size; processor time in microseconds a request."""

    database: str
    encounters: int
    load: str
    workers: int
    rate: float
    median: float
    tail: float
    server_cpu: float
    database_cpu: float
    load_cpu: float

    @property
    def capacity(self) -> float:
        """Requests a second that two cores with nothing else to do have processor time for."""
        return 2e6 / (self.server_cpu + self.database_cpu + self.load_cpu)


Told = Callable[[str], None]


class Place:
    """A seeded database with both servers running on it."""

    def __init__(
        self, plan: Plan, database: Database, size: int, callers: Callers, settings: dict[str, str]
    ) -> None:
        self._plan, self._database, self._size = plan, database, size
        self._callers, self._settings = callers, settings
        self._workers = 1 if database.sqlite else plan.workers
        self._folder = Path(settings["PEERNOTES_DATA_DIR"])
        self._engine: Engine = create_engine(make_url(database.url), isolation_level="AUTOCOMMIT")
        self._number = 0

    def figures(self, told: Told) -> list[Figure]:
        bodies = [msgspec.json.encode(town.encounter(n, self._plan.people))
                  for n in range(self._size)]  # fmt: skip
        ids = floor.fill(self._floor_url, bodies)
        serving.settle(self._database)
        runs: dict[str, list[tuple[Run, float, float]]] = {load: [] for load in LOADS}
        with ExitStack() as stack:
            service, bare = (stack.enter_context(one) for one in self._servers())
            self._once(service, service, self._of(READ, ids, 1.0), 4 * self._plan.warm)
            for number in range(self._plan.rounds):
                for load in LOADS:
                    told(f"{self._name}, {self._size:,} encounters, round {number + 1}: {load}")
                    one = bare if load in (INSERT, SELECT) else service
                    self._once(one, service, self._of(load, ids, self._plan.warm), self._plan.warm)
                    prepared = self._of(load, ids, self._plan.seconds)
                    runs[load].append(self._once(one, service, prepared, self._plan.seconds))
        self._engine.dispose()
        return [self._figure(load, found) for load, found in runs.items()]

    @property
    def _name(self) -> str:
        return "SQLite" if self._database.sqlite else "PostgreSQL"

    @property
    def _floor_url(self) -> str:
        """The floor has a file of its own on SQLite, a table of its own on PostgreSQL."""
        if self._database.sqlite:
            return f"sqlite:///{self._folder / f'floor-{self._size}.db'}"
        return self._database.url

    def _servers(self) -> Iterator[serving.Running]:
        port = int(self._settings["PEERNOTES_PORT"])
        environment = self._settings | {"PEERNOTES_WORKERS": str(self._workers)}
        yield serving.serving(serving.SERVICE, environment, port, self._folder / "service.log")
        port = serving.free_port()
        command = (*serving.FLOOR, "--port", str(port), "--workers", str(self._workers))
        environment = {"PEERNOTES_DATABASE_URL": self._floor_url}
        yield serving.serving(command, environment, port, self._folder / "floor.log")

    def _of(self, load: str, ids: list[str], seconds: float) -> list[bytes]:
        self._number += 1
        seed, people, callers = self._number * 1000 + self._size, self._plan.people, self._callers
        made: dict[str, Iterator[bytes]] = {
            INSERT: requests.floor_creates(people, seed),
            SELECT: requests.floor_reads(ids, seed),
            CREATE: requests.creates(callers.inside, people, seed),
            READ: requests.reads(callers.inside, self._size, seed),
            SEARCH: requests.searches(callers.inside, people, seed),
            OUTSIDE_READ: requests.reads(callers.outside, self._size, seed),
            OUTSIDE_SEARCH: requests.searches(callers.outside, people, seed),
            SESSION: requests.sessions(callers.peers, people, seed),
        }
        return list(islice(made[load], int(seconds * FEWER.get(load, FASTEST)) + 100))

    def _once(
        self, server: Server, service: Server, prepared: list[bytes], seconds: float
    ) -> tuple[Run, float, float]:
        """The run, and what server and database used for it, what they owe the ledger included."""
        before = self._used(server)
        run = drive(server.port, prepared, seconds)
        if server is service:
            self._drained()
        after = self._used(server)
        return run, after[0] - before[0], after[1] - before[1]

    def _used(self, server: Server) -> tuple[float, float]:
        database = self._database.server
        return machine.tree_seconds(server.pid), machine.tree_seconds(database) if database else 0.0

    def _drained(self) -> None:
        """Wait for the sequencer to take what was written: no load leaves work to the next."""
        until = time.monotonic() + 30
        query = text("SELECT count(*) FROM (SELECT 1 FROM ledger_pending LIMIT 50) AS few")
        while time.monotonic() < until:
            with self._engine.connect() as connection:
                if int(connection.execute(query).scalar_one()) < 50:  # noqa: PLR2004 (a few beats)
                    return
            time.sleep(0.1)
        raise RuntimeError("The sequencer does not keep up.")

    def _figure(self, load: str, runs: list[tuple[Run, float, float]]) -> Figure:
        count = sum(run.answered for run, _, _ in runs)
        return Figure(
            database=self._name, encounters=self._size, load=load, workers=self._workers,
            rate=statistics.median(run.rate for run, _, _ in runs),
            median=statistics.median(run.percentile(0.5) for run, _, _ in runs),
            tail=statistics.median(run.percentile(0.99) for run, _, _ in runs),
            server_cpu=sum(server for _, server, _ in runs) / count * 1e6,
            database_cpu=sum(database for _, _, database in runs) / count * 1e6,
            load_cpu=sum(run.own_cpu for run, _, _ in runs) / count * 1e6,
        )  # fmt: skip


def cores() -> int:
    return len(os.sched_getaffinity(0))
