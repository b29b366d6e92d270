"""SIGKILL under load: what was acknowledged is there, reads are recorded, the tree verifies."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx2
from house import actors
from participants import TABLET, Participant, session
from process import Process

from service.cli.demo_data import CONSENT, MARIA
from service.cli.people import Person, fresh

ROUNDS = 3
LONGEST = 20.0
EACH = 2
"""Acknowledgements of every kind that a round waits for before it kills."""
MARIA_SERVED = Participant(MARIA, CONSENT, "")


@dataclass
class Acknowledged:
    """What the service said was done: ids, and the operation where there was one."""

    sessions: dict[str, dict[str, object]] = field(default_factory=dict)
    goals: list[str] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)

    @property
    def fewest(self) -> int:
        return min(len(self.sessions), len(self.goals), len(self.reads))


class Load:
    """Writers and a reader that go on until the service dies under them."""

    def __init__(self, process: Process, dana: Person, done: Acknowledged) -> None:
        self._url, self._dana, self._done = process.settings.base_url, dana, done
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._until_it_dies, args=(work,))
            for work in (self._push, self._push, self._create, self._create_and_read)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        until = time.monotonic() + LONGEST
        while self._done.fewest < count:
            assert time.monotonic() < until, "the service does too little to be killed at it"
            time.sleep(0.01)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=30)
            assert not thread.is_alive()

    def _until_it_dies(self, work: Callable[[httpx2.Client], None]) -> None:
        try:
            with httpx2.Client(base_url=self._url, timeout=20) as web:
                while True:
                    work(web)
        except httpx2.HTTPError:
            return

    def _push(self, web: httpx2.Client) -> None:
        with self._lock:  # one tablet counts its operations
            logged = session(self._dana, MARIA_SERVED)
        batch = {"device": TABLET, "app_version": "kill", "ops": [logged.operation]}
        answer = web.post("/sync/v1/push", headers=self._headers, json=batch)
        if answer.status_code == 200 and answer.json()["results"][0]["status"] == "applied":
            self._done.sessions[logged.encounter] = logged.operation

    def _create(self, web: httpx2.Client) -> str | None:
        id_ = fresh()
        goal = {
            "resourceType": "Goal",
            "id": id_,
            "lifecycleStatus": "active",
            "description": {"text": "To keep what was said"},
            "subject": {"reference": f"Patient/{MARIA}"},
        }
        answer = web.put(f"/fhir/Goal/{id_}", headers=self._headers, json=goal)
        if answer.status_code != 201:
            return None
        self._done.goals.append(id_)
        return id_

    def _create_and_read(self, web: httpx2.Client) -> None:
        id_ = self._create(web)
        answer = web.get(f"/fhir/Goal/{id_}", headers=self._headers)
        if answer.status_code == 200 and id_ is not None:
            self._done.reads.append(id_)

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._dana.token}"}


def test_nothing_acknowledged_is_lost_however_often_it_is_killed(process: Process) -> None:
    done = Acknowledged()
    with httpx2.Client(base_url=process.settings.base_url, timeout=30) as web:
        people, _ = actors(process.settings, web)
        dana, casey = people["dana"], people["casey"]
        for number in range(ROUNDS):
            process.start()
            if number == 0:
                assert dana.sign_in().status_code == casey.sign_in().status_code == 200
            load = Load(process, dana, done)
            load.start()
            load.wait_for((number + 1) * EACH)
            process.kill()
            load.join()
        process.start()
        assert set(done.reads) <= _read_by(casey, dana), "read, and not in the ledger"
        _sessions_are_there(dana, done)
        for id_ in done.goals:
            assert dana.get(f"/fhir/Goal/{id_}").status_code == 200
        _tree_verifies(process, web)


def _sessions_are_there(dana: Person, done: Acknowledged) -> None:
    """Each is found whole, and pushing it again answers as the first time."""
    for encounter, operation in done.sessions.items():
        assert dana.get(f"/fhir/Encounter/{encounter}").status_code == 200
        again = dana.push(TABLET, operation).json()["results"][0]
        assert (again["status"], again["replay"]) == ("applied", True)


def _read_by(casey: Person, dana: Person) -> set[str]:
    """Ids whose reading by the peer is in the ledger."""
    found: set[str] = set()
    query: dict[str, str | int] = {"agent": dana.user_id, "action": "read", "limit": 1000}
    while True:
        page = casey.get("/review/entries", params=query).json()
        for entry in page["entries"]:
            found |= {record.split("/")[1] for record in entry["records"]}
        if page["next"] is None:
            return found
        query["before"] = page["next"]


def _tree_verifies(process: Process, web: httpx2.Client) -> None:
    """Once a checkpoint covers what is there; what is written meanwhile waits for the next."""
    until = time.monotonic() + 20
    while True:
        done = process.command("ledger", "verify")
        if done.returncode == 0:
            assert "hold" in done.stdout
            return
        assert time.monotonic() < until, done.stdout + done.stderr
        time.sleep(0.5)
        assert web.get("/readyz").status_code == 200
