"""On every route the entry is durable before the answer starts; without a token nothing answers.

The application is driven as a server drives it, with a `send` that looks, at the very moment the
answer starts, into the database over a connection of its own.
"""

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Response
from fastapi.routing import iter_route_contexts
from house import Caller, Service
from participants import TABLET, Logged, Participant, arrive, consent, log, session
from sqlalchemy import Engine, func, select

from service.app import build
from service.audit.tables import ledger_entry
from service.database import engine as engines

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
    return {
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        for method in route.methods or ()
        if route.path
    }


@dataclass(frozen=True)
class Scene:
    """Somebody with a session, and those who may ask for it."""

    service: Service
    who: Participant
    logged: Logged

    def requests(self) -> Iterator[tuple[str, str, Caller, str, bytes]]:
        """A request that succeeds on every gated route: method, template, caller, path, body."""
        name = self.service.signed_in
        dana, sam, kim, casey = name("dana"), name("sam"), name("kim"), name("casey")
        note, encounter = self.logged.note, f"Encounter/{self.logged.encounter}"
        item, kind = "/fhir/{type_}/{id_}", "/fhir/{type_}"
        yield "GET", item, dana, f"/fhir/{encounter}", b""
        yield "HEAD", item, dana, f"/fhir/{encounter}", b""
        yield "GET", f"{item}/_history", dana, f"/fhir/{encounter}/_history", b""
        version = f"{item}/_history/{{version_}}"
        yield "GET", version, dana, f"/fhir/{encounter}/_history/1", b""
        yield "GET", kind, dana, f"/fhir/Encounter?patient={self.who.id}", b""
        query = f"patient={self.who.id}".encode()
        yield "POST", f"{kind}/_search", dana, "/fhir/Encounter/_search", query
        goal = {"resourceType": "Goal", "lifecycleStatus": "active",
                "description": {"text": "To rest"}, "subject": self._subject()}  # fmt: skip
        yield "POST", kind, dana, "/fhir/Goal", json.dumps(goal).encode()
        form = json.dumps(consent(self.who)).encode()
        yield "PUT", item, dana, f"/fhir/Consent/{self.who.consent}", form
        glass = "/fhir/Patient/{id_}/$break-glass"
        yield "POST", glass, kim, glass.replace("{id_}", self.who.id), DECLARED
        operation = session(dana, self.who).operation
        batch = {"device": TABLET, "app_version": "1", "ops": [operation]}
        yield "POST", "/sync/v1/push", dana, "/sync/v1/push", json.dumps(batch).encode()
        yield "GET", "/supervise/queue", sam, "/supervise/queue", b""
        back = "/supervise/notes/{id_}/return"
        yield "POST", back, sam, back.replace("{id_}", note), b'{"question":"When?"}'
        sign = "/supervise/notes/{id_}/co-sign"
        yield "POST", sign, sam, sign.replace("{id_}", note), b""
        yield from self._quarantined(dana, sam)
        yield from self._reviews(casey)

    def _quarantined(
        self, dana: Caller, sam: Caller
    ) -> Iterator[tuple[str, str, Caller, str, bytes]]:
        """Two sessions that were signed the day after tomorrow wait for the supervisor."""
        late = [session(dana, self.who, signed_at="2199-01-01T00:00:00Z") for _ in range(2)]
        held = [logged.operation for logged in late]
        answer = self.service.ask(
            dana, "POST", "/sync/v1/push", {"device": TABLET, "app_version": "1", "ops": held}
        )
        assert [each["status"] for each in answer.json()["results"]] == ["quarantined"] * 2
        door = "/supervise/quarantine"
        yield "GET", door, sam, door, b""
        for operation, decision in zip(held, ("release", "dismiss"), strict=True):
            path = f"{door}/{operation['op_id']}/{decision}"
            yield "POST", f"{door}/{{op_id}}/{decision}", sam, path, b""

    def _reviews(self, casey: Caller) -> Iterator[tuple[str, str, Caller, str, bytes]]:
        entries = self.service.ask(casey, "GET", f"/review/entries?patient={self.who.id}")
        id_ = entries.json()["entries"][-1]["id"]
        yield "GET", "/review/entries", casey, "/review/entries", b""
        for path in ("/review/entries/{id_}", "/review/entries/{id_}/leaf"):
            yield "GET", path, casey, path.replace("{id_}", id_), b""
        proof = f"/review/entries/{id_}/proof"
        for _ in range(100):  # a checkpoint covers it within a second or two
            if self.service.ask(casey, "GET", proof).status_code == 200:
                break
            time.sleep(0.1)
        yield "GET", "/review/entries/{id_}/proof", casey, proof, b""
        accounting = "/review/accounting/{patient}"
        yield "GET", accounting, casey, accounting.replace("{patient}", self.who.id), b""
        yield "GET", "/review/break-glass", casey, "/review/break-glass", b""
        size = int(self.service.web.get("/ledger/checkpoint").text.splitlines()[1])
        tile = "000" if size >= 256 else f"000.p/{size}"
        bundle = "/ledger/tile/entries/{path:path}"
        yield "GET", bundle, casey, f"/ledger/tile/entries/{tile}", b""

    def _subject(self) -> dict[str, str]:
        return {"reference": f"Patient/{self.who.id}"}


DECLARED = json.dumps(
    {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "reason", "valueString": "Unresponsive"},
            {"name": "facility", "valueString": "Lakeside"},
            {"name": "consentCannotBeObtained", "valueBoolean": True},
        ],
    }
).encode()
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def scene(service: Service) -> Scene:
    who = arrive(service, name="Scene")
    return Scene(service, who, log(service.signed_in("dana"), who))


def test_on_every_gated_route_the_entry_is_durable_before_the_answer_starts(
    scene: Scene, app: FastAPI, engine: Engine
) -> None:
    driver, driven = Driver(app, engine), set()
    for method, template, caller, path, body in scene.requests():
        media = FORM if template.endswith("_search") else "application/fhir+json"
        seen = driver.drive(method, path, caller, body, media)
        assert 200 <= seen.status < 300, (method, path, seen.status, seen.body)
        assert seen.entries >= 1, (method, path)
        assert seen.headers["cache-control"] == "no-store", path
        driven.add((method, template))
    gated = {each for each in templates(app) if each[1] not in PUBLIC | SIGN_IN}
    assert gated - driven == set(), "a route that this story does not know"


def test_a_refusal_is_durable_before_it_is_told(scene: Scene, app: FastAPI, engine: Engine) -> None:
    driver = Driver(app, engine)
    stranger = scene.service.authorized()
    for path in (f"/fhir/Encounter/{scene.logged.encounter}", "/review/entries", "/fhir/Encounter"):
        seen = driver.drive("GET", path, stranger)
        assert seen.status in (403, 404), path
        assert seen.entries >= 1, path


def test_without_a_token_nothing_answers_but_what_is_public(
    app: FastAPI, engine: Engine, service: Service
) -> None:
    driver = Driver(app, engine)
    open_ = set()
    for method, template in templates(app):
        path = template.replace("{type_}", "Encounter").replace("{path:path}", "0/000")
        for name in ("{id_}", "{version_}", "{patient}"):
            path = path.replace(name, TABLET)
        seen = driver.drive(method, path)
        if template in SIGN_IN:
            assert seen.status in (400, 401), template
        elif seen.status != 401:
            assert template in PUBLIC, (method, template, seen.status)
            open_.add(template)
    assert open_ == PUBLIC
    nobody = type(service.ehr)(service.web, {}, token="junk")
    for method, template in templates(app):
        if template not in PUBLIC | SIGN_IN:
            path = template.replace("{type_}", "Encounter").replace("{path:path}", "0/000")
            assert driver.drive(method, path, nobody).status == 401, template


def test_a_route_that_forgot_the_gate_answers_500(
    service: Service, engine: Engine, scene: Scene
) -> None:
    app = build(service.house)

    def rogue() -> Response:
        return Response("Robin Scene, 1990-05-17")

    for path in ("/rogue", "/ledger/tile/entries/rogue", "/fhir/metadata-of-patients"):
        app.add_api_route(path, rogue)
        app.router.routes.insert(0, app.router.routes.pop())
        seen = Driver(app, engine).drive("GET", path, scene.service.signed_in("dana"))
        assert seen.status == 500, path
        assert b"Robin" not in seen.body
