"""Puts the house together: engine, keys, ledger lanes, gate, doors.

Start-up code, with the command line: the only places that read settings and build an engine. What
a room needs arrives as an argument.
"""

import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from sqlalchemy import Engine

from service import telemetry, web
from service.access.caller import Tokens
from service.access.enforce import Access, opener
from service.access.token_keys import TokenKeys
from service.audit.groupcommit import GroupCommit
from service.audit.log import Ledger
from service.database import engine as engines
from service.database.opener import Opener
from service.direct import lay
from service.fhir.routes import router as fhir
from service.identity import routes as identity
from service.identity import signing
from service.identity.house import House as SignIn
from service.identity.house import furnish
from service.keys.keyring import Keyring, start
from service.records import changes
from service.records.directory import Directory
from service.review.routes import router as review
from service.settings import Settings, from_environment
from service.sync.quarantine import router as quarantine
from service.sync.routes import router as sync
from service.vocabulary import Micros

LOG = 1
"""One log a tenant, one tenant a house."""
THREADS = 40


def clock() -> Micros:
    return Micros(time.time_ns() // 1000)  # the machine's clock, read at the edge only


@dataclass(frozen=True, slots=True)
class House:
    """Everything that was opened at the start, for the application and the machine threads."""

    settings: Settings
    transactions: Opener
    keyring: Keyring
    ledger: Ledger
    lane: GroupCommit
    tokens: Tokens
    access: Access
    sign_in: SignIn
    engines: tuple[Engine, ...]

    def close(self) -> None:
        """Write what is queued for the ledger, then end. May be called again."""
        self.lane.close()
        for engine in self.engines:
            engine.dispose()


def open_house(settings: Settings) -> House:
    """Refuses to start over weak durability or wrong keys. Runs the ledger's lane: `close` it."""
    engine = engines.build(settings.database_url, pool_size=THREADS)
    transactions = opener(engine)
    with transactions.read() as connection:
        engines.demand_durability(connection)
    keyring = start(transactions, settings.keyring, create=False, at=clock())
    with transactions.write() as connection:
        changes.settle(connection)
        signing.prepare(connection, keyring, clock())
    ledger = Ledger(LOG, keyring.ingest_key)
    # The lane writes on a connection of its own: callers holding the pool would wait for it.
    lane_engine = engines.build(settings.database_url, pool_size=1)
    lane = GroupCommit(opener(lane_engine, sharing=transactions), ledger, clock)
    lane.start()
    token_keys = TokenKeys(keyring)
    with transactions.read() as connection:
        token_keys.load(connection, clock())
    tokens = Tokens(settings.base_url, token_keys)
    access = Access(
        opener=transactions, lane=lane, ledger=ledger, keyring=keyring, tokens=tokens,
        directory=Directory(keyring, settings.zone), clock=clock, zone=settings.zone,
    )  # fmt: skip
    sign_in = furnish(
        base_url=settings.base_url, production=settings.mode == "production", gate=access,
        opener=transactions, clock=clock, keyring=keyring, token_keys=token_keys, tokens=tokens,
    )  # fmt: skip
    return House(settings, transactions, keyring, ledger, lane, tokens, access, sign_in,
                 (engine, lane_engine))  # fmt: skip


def build(house: House) -> FastAPI:
    threads = ThreadPoolExecutor(THREADS, thread_name_prefix="door")

    @asynccontextmanager
    async def living(_app: FastAPI) -> AsyncIterator[None]:
        yield
        house.lane.close()  # what is queued for the ledger is written before the process ends

    app = FastAPI(
        title="peernotes", version="0.1.0", lifespan=living, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    app.state.settings = house.settings
    app.state.smart = identity.smart_configuration(house.settings.base_url)
    app.state.tokens = house.tokens
    app.state.access = house.access
    app.state.threads = threads
    lay(app, (identity.router(house.sign_in), ""), (sync, "/sync/v1"), (quarantine, ""),
        (review, ""), (fhir, "/fhir"))  # fmt: skip
    web.install(app)
    return app


def create() -> FastAPI:
    """What uvicorn calls in each worker process."""
    settings = from_environment(os.environ)
    telemetry.configure(settings.log_level)
    return build(open_house(settings))
