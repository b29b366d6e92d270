"""The floor: a bare FastAPI application that inserts or selects one row of the same bytes.

No sign-in, no consent, no seal, no validation, no versions, no search rows, no ledger. The same
server, driver, connection pool, durability and thread hop as the service: what FastAPI and the
database cost by themselves.
"""

import os
from collections.abc import Iterable
from contextlib import nullcontext
from threading import Lock
from typing import Annotated
from uuid import uuid4

from fastapi import Depends, FastAPI, Request, Response
from sqlalchemy import Column, Engine, LargeBinary, MetaData, Table, bindparam, insert, select

from service.database import engine as engines
from service.database.metadata import GUID

metadata = MetaData()
row = Table(
    "floor",
    metadata,
    Column("id", GUID, primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
INSERT = insert(row)
SELECT = select(row.c.body).where(row.c.id == bindparam("of_id", type_=GUID))


def fill(url: str, bodies: Iterable[bytes]) -> list[str]:
    """Make the table and put rows into it; their ids."""
    engine = engines.build(url, pool_size=1)
    metadata.create_all(engine)
    rows = [{"id": str(uuid4()), "body": body} for body in bodies]
    with engine.begin() as connection:
        for start in range(0, len(rows), 1000):
            connection.execute(INSERT, rows[start : start + 1000])
    engine.dispose()
    return [str(each["id"]) for each in rows]


async def body(request: Request) -> bytes:
    return await request.body()


def create() -> FastAPI:
    """What uvicorn calls in each worker process."""
    url = os.environ["PEERNOTES_DATABASE_URL"]
    return build(engines.build(url, pool_size=40))


def build(engine: Engine) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None)
    sqlite = engine.dialect.name == "sqlite"
    writing = engine.execution_options(begin="BEGIN IMMEDIATE") if sqlite else engine
    writer = Lock() if sqlite else nullcontext()  # as the service: SQLite's own wait is unfair

    @app.post("/floor")
    def add(content: Annotated[bytes, Depends(body)]) -> Response:
        with writer, writing.begin() as connection:
            connection.execute(INSERT, {"id": str(uuid4()), "body": content})
        return Response(content, 201, None, "application/fhir+json")

    @app.get("/floor/{id_}")
    def get(id_: str) -> Response:
        with engine.connect() as connection:
            found = connection.execute(SELECT, {"of_id": id_}).scalar_one()
        return Response(found, 200, None, "application/fhir+json")

    return app
