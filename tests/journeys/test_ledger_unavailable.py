"""While the ledger cannot be written, nothing leaves, nothing is stored; then all is well."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
import pytest
from house import Service
from participants import TABLET, Logged, Participant, arrive, log, session
from sqlalchemy import Connection, Engine, create_engine, text

from service.audit.append import GroupCommit
from service.database import engine as engines

CANARY = "Xylophonist from Saskatoon"
REFUSING = {
    "sqlite": (
        """CREATE TRIGGER full BEFORE INSERT ON ledger_entry
           BEGIN SELECT RAISE(ABORT, 'no space left'); END""",
        "DROP TRIGGER full",
    ),
    "postgresql": (
        """CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'no space left'; END $$""",
        """CREATE TRIGGER full_disk BEFORE INSERT ON ledger_entry
           FOR EACH ROW EXECUTE FUNCTION full_disk()""",
        "DROP FUNCTION full_disk() CASCADE",
    ),
}


@dataclass(frozen=True)
class Known:
    """Somebody whose record holds the canary, and who asks."""

    service: Service
    who: Participant
    logged: Logged

    def reads(self) -> Iterator[httpx2.Response]:
        """Every kind of answer that would carry the canary."""
        ask, dana = self.service.ask, self.service.signed_in("dana")
        casey = self.service.signed_in("casey")
        for path in (
            f"/fhir/Patient/{self.who.id}",
            f"/fhir/DocumentReference/{self.logged.note}",
            f"/fhir/DocumentReference/{self.logged.note}/_history",
            f"/fhir/DocumentReference?patient={self.who.id}",
            "/fhir/Patient?name=Xylo",
        ):
            yield ask(dana, "GET", path)
        yield ask(casey, "GET", f"/review/entries?patient={self.who.id}")
        yield ask(dana, "GET", f"/fhir/Patient/{TABLET}")  # a refusal must be recorded too

    def writes(self) -> Iterator[httpx2.Response]:
        dana = self.service.signed_in("dana")
        goal = {
            "resourceType": "Goal",
            "lifecycleStatus": "active",
            "description": {"text": CANARY},
            "subject": {"reference": f"Patient/{self.who.id}"},
        }
        yield self.service.ask(dana, "POST", "/fhir/Goal", goal)
        yield dana.push(TABLET, session(dana, self.who, text=CANARY).operation)
        yield self.service.ehr.authorize()

    def refused(self, answers: Iterator[httpx2.Response]) -> None:
        for answer in answers:
            assert answer.status_code == 503, (str(answer.url), answer.text)
            assert "Xylo" not in answer.text
            if "/oauth/" not in str(answer.url):
                outcome = answer.json()
                assert outcome["resourceType"] == "OperationOutcome"
                assert outcome["issue"][0]["code"] == "transient"
                assert answer.headers["retry-after"]
        assert self.ready() == 503

    def ready(self) -> int:
        return self.service.web.get("/readyz").status_code

    def recovers(self) -> None:
        """By itself, within seconds."""
        until = time.monotonic() + 15
        while self.ready() != 200:
            assert time.monotonic() < until, "not ready again"
            time.sleep(0.1)
        dana = self.service.signed_in("dana")
        for _ in range(3):  # a pool may still hold connections that died
            found = self.service.ask(dana, "GET", f"/fhir/Patient/{self.who.id}")
            if found.status_code == 200:
                break
        assert CANARY in found.text
        log(dana, self.who, text="All is well again.")


@pytest.fixture
def known(own_service: Service) -> Known:
    who = arrive(own_service, name=CANARY)
    own_service.signed_in("casey")
    return Known(own_service, who, log(own_service.signed_in("dana"), who, text=CANARY))


@pytest.fixture
def beside(own_service: Service) -> Iterator[Engine]:
    """The database as its administrator reaches it."""
    engine = engines.build(own_service.settings.database_url, pool_size=2)
    yield engine
    engine.dispose()


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def count(engine: Engine, table: str) -> int:
    with engine.begin() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_an_insert_that_fails_refuses_reads_and_writes(known: Known, beside: Engine) -> None:
    *make, drop = REFUSING[beside.dialect.name]
    run(beside, *make)
    before = count(beside, "resource_version")
    try:
        known.refused(known.reads())
        known.refused(known.writes())
        assert count(beside, "resource_version") == before, "nothing was stored"
    finally:
        run(beside, drop)
    known.recovers()


@contextmanager
def locked(engine: Engine) -> Iterator[Connection]:
    """Somebody else holds what every entry needs."""
    sqlite = engine.dialect.name == "sqlite"
    begin = {"begin": "BEGIN IMMEDIATE"} if sqlite else {}
    with engine.execution_options(**begin).begin() as connection:
        if not sqlite:
            connection.execute(text("LOCK TABLE ledger_entry IN EXCLUSIVE MODE"))
        yield connection


def test_a_lock_that_is_held_refuses_in_time(known: Known, beside: Engine) -> None:
    found: list[httpx2.Response] = []
    with locked(beside):
        started = time.monotonic()
        dana = known.service.signed_in("dana")
        path = f"/fhir/Patient/{known.who.id}"
        readers = [
            threading.Thread(target=lambda: found.append(known.service.ask(dana, "GET", path)))
            for _ in range(3)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        assert time.monotonic() - started < 6
        assert known.ready() == 503
        write = dana.push(TABLET, session(dana, known.who, text=CANARY).operation)
        assert time.monotonic() - started < 25, "a write does not wait for ever"
    for answer in (*found, write):
        assert answer.status_code == 503
        assert "Xylo" not in answer.text
        assert answer.json()["issue"][0]["code"] == "transient"
    known.recovers()


def test_a_lane_that_has_ended_refuses_reads(known: Known) -> None:
    access = known.service.house.access
    ended = GroupCommit(known.service.house.transactions, known.service.house.ledger, access.clock)
    ended.start()
    ended.close()
    lane, access._lane = access._lane, ended
    try:
        known.refused(known.reads())
    finally:
        access._lane = lane
    known.recovers()


def test_a_database_that_is_gone_refuses_everything(known: Known) -> None:
    url = known.service.settings.database_url
    if url.startswith("sqlite"):
        pytest.skip("a file cannot be stopped")
    name = known.service.settings.database_url.rpartition("/")[2].partition("?")[0]
    admin = create_engine(
        known.service.house.engines[0].url.set(database="postgres"), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )
        try:
            known.refused(known.reads())
            known.refused(known.writes())
        finally:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    admin.dispose()
    known.recovers()
