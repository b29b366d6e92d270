"""Routes laid flat: the same routes, handlers and documents, without FastAPI's way to them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import current_thread, main_thread
from types import SimpleNamespace

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.testclient import TestClient

from service import web
from service.direct import lay
from service.errors import Unauthenticated

inner = APIRouter()


@inner.post("/{type_}/{id_}", tags=["things"], summary="Store a thing")
def store(
    request: Request, type_: str, id_: str, caller: web.Caller, body: web.Body,
    access: web.Gate, purpose: web.Claimed,
) -> Response:  # fmt: skip
    assert current_thread() is not main_thread()
    return Response(f"{request.method} {type_} {id_} {caller} {len(body)} {access} {purpose}")


@inner.get("/asked")
def asked(count: int) -> dict[str, int]:
    """A handler with a wish that only FastAPI knows how to fulfil."""
    return {"count": count}


@pytest.fixture
def client() -> Iterator[TestClient]:
    outer = APIRouter(prefix="/outer")
    outer.include_router(inner)
    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.threads = ThreadPoolExecutor(1)
    app.state.access = "gate"
    lay(app, (outer, "/door"))
    with TestClient(app) as client:
        yield client
    app.state.threads.shutdown()


def _known(client: TestClient, presented: object) -> None:
    gate = SimpleNamespace(clock=lambda: 0, __str__=lambda _: "gate")
    client.app.state.access = gate  # type: ignore[attr-defined]
    client.app.state.tokens = SimpleNamespace(present=presented)  # type: ignore[attr-defined]


def test_a_handler_gets_what_its_signature_names(client: TestClient) -> None:
    _known(client, lambda _header, _at: "somebody")
    answer = client.post("/door/outer/Thing/7", content=b"four")
    assert answer.status_code == 200
    assert answer.text.startswith("POST Thing 7 somebody 4 ")


def test_nobody_unknown_has_a_body_read(client: TestClient) -> None:
    def refuse(_header: str, _at: int) -> None:
        raise Unauthenticated("no")

    _known(client, refuse)

    def endless() -> Iterator[bytes]:
        yield b"x"
        raise AssertionError("the body was read")

    with pytest.raises(Unauthenticated):
        client.post("/door/outer/Thing/7", content=endless())


def test_a_handler_with_other_wishes_runs_as_fastapi_runs_it(client: TestClient) -> None:
    assert client.get("/door/outer/asked", params={"count": "3"}).json() == {"count": 3}
    assert client.get("/door/outer/asked", params={"count": "x"}).status_code == 422


def test_the_document_names_every_route_with_its_prefix_and_tags(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/door/outer/{type_}/{id_}", "/door/outer/asked"}
    assert paths["/door/outer/{type_}/{id_}"]["post"]["tags"] == ["things"]
