"""The door over HTTP: /oauth/*. Forms are read here, in async code; the work is one thread hop.

Everything is answered as RFC 6749 JSON and with no-store; OperationOutcome is for /fhir.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from starlette.concurrency import run_in_threadpool

from service.access import receipt
from service.access.scopes import LETTERS
from service.errors import PeernotesError, Throttled, Unavailable
from service.identity.answers import Answer, refusal
from service.identity.assertion import ALGORITHMS
from service.identity.clients import ASSERTION
from service.identity.house import House
from service.identity.passwords import AT_ONCE
from service.identity.revocation import answer_introspect, answer_revoke
from service.identity.server import answer_token
from service.identity.sign_in import Credentials, answer_sign_in
from service.vocabulary import STORED_TYPES

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
LARGEST = 16 * 1024
MOST_FIELDS = 20
QUEUE = 40
"""Sign-ins that may wait, at half a second each, before we say that we are busy."""
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}


class _Typed(msgspec.Struct, forbid_unknown_fields=True):
    username: str
    password: str
    totp: str


def router(house: House) -> APIRouter:
    """The routes of /oauth. Sign-ins have threads of their own: waiting, they take no other's."""
    routes = APIRouter(prefix="/oauth", tags=["identity"])
    seats = CapacityLimiter(AT_ONCE)

    @routes.post("/token")
    async def token(request: Request) -> Response:
        return await _on_form(request, partial(answer_token, house))

    @routes.post("/revoke")
    async def revoke(request: Request) -> Response:
        return await _on_form(request, partial(answer_revoke, house))

    @routes.post("/introspect")
    async def introspect(request: Request) -> Response:
        header = request.headers.get("authorization")
        return await _on_form(request, partial(answer_introspect, house, header))

    @routes.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        typed = await _typed(request)
        if typed is None:
            return _send(refusal("invalid_request"))
        if seats.statistics().tasks_waiting >= QUEUE:
            return _send(refusal("slow_down", Throttled.status))
        work = partial(_quietly, partial(answer_sign_in, house, typed))
        return _send(await to_thread.run_sync(work, limiter=seats))

    @routes.get("/jwks")
    async def jwks() -> Response:
        body = msgspec.json.encode(house.token_keys.public())
        return Response(body, media_type=JSON, headers={"cache-control": "public, max-age=300"})

    return routes


def smart_configuration(base_url: str) -> dict[str, Any]:
    """/fhir/.well-known/smart-configuration: backend services, and only what works."""
    return {
        "token_endpoint": f"{base_url}/oauth/token",
        "token_endpoint_auth_methods_supported": [ASSERTION],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": [
            f"system/*.{LETTERS}", *(f"system/{name}.{LETTERS}" for name in sorted(STORED_TYPES)),
        ],
        "introspection_endpoint": f"{base_url}/oauth/introspect",
        "revocation_endpoint": f"{base_url}/oauth/revoke",
        "code_challenge_methods_supported": ["S256"],  # required even where there is no authorize
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }  # fmt: skip


async def _on_form(request: Request, answer: Callable[[dict[str, str]], Answer]) -> Response:
    form = await _form(request)
    if form is None:
        return _send(refusal("invalid_request"))
    return _send(await run_in_threadpool(_quietly, partial(answer, form)))


def _quietly(answer: Callable[[], Answer]) -> Answer:
    """Our own errors in this door's words."""
    try:
        return answer()
    except (Unavailable, DBAPIError, PoolExhausted):
        return refusal("temporarily_unavailable", Unavailable.status)
    except PeernotesError:
        return refusal("server_error", PeernotesError.status)


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form, each at most once (RFC 6749, section 3.2); None if it is not one."""
    body = await _body(request, FORM)
    if body is None:
        return None
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return None
    form = dict(pairs)
    return form if len(form) == len(pairs) else None


async def _typed(request: Request) -> Credentials | None:
    body = await _body(request, JSON)
    try:
        typed = msgspec.json.decode(body or b"", type=_Typed)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return Credentials(typed.username, typed.password, typed.totp)


async def _body(request: Request, media_type: str) -> bytes | None:
    """The body, if it is of that type and no larger than this door ever needs."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != media_type:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return None
    return bytes(body)


def _send(answer: Answer) -> Response:
    headers = dict(NO_STORE)
    if answer.status >= 400:  # noqa: PLR2004
        receipt.mark_refused()
    if answer.status == 401:  # noqa: PLR2004 (RFC 6750, section 3: say how to authenticate)
        headers["www-authenticate"] = 'Bearer error="invalid_token"'
    return Response(
        msgspec.json.encode(answer.body), answer.status, headers=headers, media_type=JSON
    )
