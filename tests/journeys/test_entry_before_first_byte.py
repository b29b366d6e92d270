"""On every route the entry is durable before the answer starts, and nothing answers without a token.

The application is driven as a server drives it, with a `send` that looks, at the very moment the
answer starts, into the database over a connection of its own.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Response
from fastapi.routing import APIRoute
from house import Caller, Service
from participants import TABLET, Logged, Participant, arrive, consent, log, session
from sqlalchemy import Engine, func, select

from service.app import build
from service.audit.tables import ledger_entry
from service.cli.demo_data import PROGRAM
from service.database import engine as engines
from service.vocabulary import Relation

PUBLIC = {
    "/", "/static/page.css", "/healthz", "/readyz", "/openapi.json", "/oauth/jwks",
    "/ledger/checkpoint", "/ledger/tile/{path:path}",
    "/fhir/metadata", "/fhir/.well-known/smart-configuration",
}  # fmt: skip
"""The whole of what answers to anybody. A new public route is a decision: it is made here."""
SIGN_IN = {"/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/sign-in"}
"""These ask for credentials of their own."""


@dataclass
class Seen:
    status: int = 0
    entries: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Driver:
    """Speaks ASGI to the application, and counts entries from beside it."""

    def __init__(self, app: FastAPI, engine: Engine) -> None:
        self._app, self._engine = app, engine

    def entries(self) -> int:
        with self._engine.begin() as connection:
            count = select(func.count()).where(ledger_entry.c.agent != "system")
            return int(connection.execute(count).scalar_one())

    def drive(
        self, method: str, path: str, caller: Caller | None = None, body: bytes = b"",
        media: str = "application/fhir+json",
    ) -> Seen:  # fmt: skip
        seen, before = Seen(), self.entries()
        parts = urlsplit(path)
        headers = [(b"content-type", media.encode()), (b"host", b"house")]
        if caller is not None:
            headers.append((b"authorization", f"Bearer {caller.token}".encode()))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": parts.path, "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(), "root_path": "", "headers": headers,
            "client": ("127.0.0.1", 1), "server": ("house", 80), "state": {},
        }  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                seen.entries = self.entries() - before
                seen.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            else:
                seen.body += message.get("body", b"")

        asyncio.run(self._app(scope, receive, send))  # type: ignore[arg-type]
        return seen


@pytest.fixture
def engine(service: Service) -> Iterator[Engine]:  # beside the service's own
    made = engines.build(service.settings.database_url, pool_size=2)
    yield made
    made.dispose()


@pytest.fixture
def app(service: Service) -> FastAPI:
    return build(service.house)


def templates(app: FastAPI) -> set[tuple[str, str]]:
    """Method and template of every route, however deep it was included."""
    found: set[tuple[str, str]] = set()
    for path, methods in app.openapi()["paths"].items():
        found |= {(method.upper(), path) for method in methods}
    return found | {
        (method, route.path)
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
