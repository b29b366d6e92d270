"""What every door shares: who is asking, how big a body may be, how an error looks, the send guard.

Nothing of a person goes into a log line, a URL or an error: log lines carry the route's template,
the status and the time taken.
"""

import time
from typing import Annotated

import msgspec
import structlog
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access import receipt
from service.access.caller import Presented
from service.access.enforce import Access
from service.errors import Issue, PeernotesError, TooLarge, Unauthenticated
from service.vocabulary import Purpose

FHIR_JSON = "application/fhir+json"
MOST_BYTES = 5 * 1024 * 1024
PUBLIC = frozenset(
    {
        "/", "/healthz", "/readyz", "/openapi.json", "/oauth/jwks", "/ledger/checkpoint",
        "/fhir/metadata", "/fhir/.well-known/smart-configuration",
    }
)  # fmt: skip
PUBLIC_BELOW = ("/static/", "/ledger/tile/")
"""Routes that hold nothing about anybody; every other 2xx or 3xx needs a durable entry."""
GATED_BELOW = "/ledger/tile/entries/"
"""The leaves themselves."""
STATUS_CODES = {404: "not-found", 405: "not-supported", 413: "too-long", 415: "not-supported"}

log = structlog.get_logger()


async def gate(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


async def presented(request: Request) -> Presented:
    """Verifies the bearer token's signature; whether it still holds is the gate's question."""
    access: Access = request.app.state.access
    found: Presented = request.app.state.tokens.present(
        request.headers.get("authorization"), access.clock()
    )
    return found


async def purpose(request: Request) -> Purpose | None:
    """The purpose of use claimed for this request; the caller must also be entitled to it."""
    claimed = request.headers.get("x-purpose-of-use")
    if claimed is None:
        return None
    try:
        return Purpose(claimed)
    except ValueError:
        raise Unauthenticated("X-Purpose-Of-Use is not a purpose that we know.") from None


async def body(request: Request) -> bytes:
    """The body, refused as soon as it is longer than 5 MiB."""
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MOST_BYTES:
            raise TooLarge("The body is over 5 MiB: send fewer or smaller resources.")
    return bytes(received)


Gate = Annotated[Access, Depends(gate)]
Caller = Annotated[Presented, Depends(presented)]
Body = Annotated[bytes, Depends(body)]
Claimed = Annotated[Purpose | None, Depends(purpose)]


def operation_outcome(*issues: Issue, severity: str = "error") -> bytes:
    """An OperationOutcome; it names elements and rules, never a value."""
    return msgspec.json.encode(
        {
            "resourceType": "OperationOutcome",
            "issue": [
                {"severity": severity, "code": issue.code, "diagnostics": issue.diagnostics}
                | ({"expression": [issue.expression]} if issue.expression else {})
                for issue in issues
            ],
        }
    )


def refusal(error: PeernotesError) -> Response:
    """The one place where an error becomes HTTP."""
    receipt.mark_refused()
    headers = {"cache-control": "no-store"}
    if error.status == 401:  # noqa: PLR2004
        headers["www-authenticate"] = 'Bearer realm="peernotes"'
    if error.status in (429, 503):
        headers["retry-after"] = "1"
    return Response(operation_outcome(*error.issues), error.status, headers, FHIR_JSON)


def install(app: FastAPI) -> None:
    """Error handlers that echo nothing, and the guard around the whole application."""

    async def known(_request: Request, error: Exception) -> Response:
        assert isinstance(error, PeernotesError)  # noqa: S101 (registered for this class)
        if error.status >= 500:  # noqa: PLR2004
            log.error("failed", error=type(error).__name__)
        return refusal(error)

    async def unreadable(_request: Request, _error: Exception) -> Response:
        receipt.mark_refused()
        issue = Issue("structure", "A parameter of this request cannot be understood.")
        return Response(operation_outcome(issue), 400, None, FHIR_JSON)

    async def http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 (registered for this class)
        receipt.mark_refused()
        code = STATUS_CODES.get(error.status_code, "processing")
        issue = Issue(code, "There is nothing here, or not for this method.")
        return Response(operation_outcome(issue), error.status_code, error.headers, FHIR_JSON)

    app.add_exception_handler(PeernotesError, known)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(HTTPException, http)
    app.add_middleware(Guard)


class Guard:
    """Pure ASGI: lets an answer start only if its entry is durable, adds headers, logs the route.

    An exception that nobody foresaw becomes a 500 without details here, because Starlette's own
    handler would run outside the guard.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        ticket = receipt.Receipt()
        token = receipt.current.set(ticket)
        started = time.perf_counter()
        answer = _Answer(scope, send, ticket)
        try:
            await self.app(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 (the last line of defence)
            log.error("unforeseen", error=type(error).__name__)  # noqa: TRY400 (a trace holds values)
            if not answer.started:
                await _plain_failure(send)
                answer.status = 500
        finally:
            receipt.current.reset(token)
            route = scope.get("route")
            log.info(
                "answered",
                method=scope["method"],
                route=getattr(route, "path", "unknown"),
                status=answer.status,
                ms=round((time.perf_counter() - started) * 1000, 1),
            )


class _Answer:
    """Wraps `send` for one request."""

    def __init__(self, scope: Scope, send: Send, ticket: receipt.Receipt) -> None:
        self.started = False
        self.status = 0
        self._path: str = scope["path"]
        self._send = send
        self._ticket = ticket
        self._stopped = False

    async def __call__(self, message: Message) -> None:
        if self._stopped:
            return
        if message["type"] == "http.response.start":
            if not self._covered(message["status"]):
                log.critical("unrecorded answer stopped", status=message["status"])
                self._stopped = self.started = True
                self.status = 500
                await _plain_failure(self._send)
                return
            self.started = True
            self.status = message["status"]
            given = list(message.get("headers", []))
            names = {name for name, _ in given}
            message["headers"] = given + [h for h in _headers(self._path) if h[0] not in names]
        await self._send(message)

    def _covered(self, status: int) -> bool:
        if self._ticket.durable:
            return True
        if status >= 400:  # noqa: PLR2004
            return self._ticket.refused
        return _public(self._path)


def _public(path: str) -> bool:
    return path in PUBLIC or (path.startswith(PUBLIC_BELOW) and not path.startswith(GATED_BELOW))


async def _plain_failure(send: Send) -> None:
    issue = Issue("exception", "Something went wrong here, not with your request. Try again later.")
    content = operation_outcome(issue, severity="fatal")
    headers = [(b"content-type", FHIR_JSON.encode()), (b"cache-control", b"no-store")]
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _headers(path: str) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"x-frame-options", b"DENY"),
        (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
    ]
    if not _public(path):
        headers.append((b"cache-control", b"no-store"))
    return headers
