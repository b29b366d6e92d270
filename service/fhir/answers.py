"""HTTP forms of stored resources: ETag, Last-Modified, Prefer, negotiated formats, links."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime

from fastapi import Request, Response

from service.errors import Issue, Malformed, NotAcceptable, UnsupportedMedia
from service.fhir.notice import Notice
from service.records.stored import Stored, Written
from service.vocabulary import Micros
from service.web import FHIR_JSON, operation_outcome

JSON_TYPES = frozenset({"application/fhir+json", "application/json", "text/json", "json"})
ANYTHING = frozenset({"*/*", "application/*", ""})
SUCCESS = Issue("informational", "Done.")


def base_of(request: Request) -> str:
    """Absolute links start with the configured address, never with the Host header."""
    return f"{request.app.state.settings.base_url}/fhir"


def demand_json_answer(request: Request) -> None:
    """406 unless the caller takes JSON; `_format` wins over Accept (http.html#mime-type)."""
    wanted = request.query_params.get("_format")
    accept = [wanted] if wanted is not None else request.headers.get("accept", "").split(",")
    kinds = {part.split(";")[0].strip().lower().replace(" ", "+") for part in accept}
    if not kinds & (JSON_TYPES | ANYTHING):
        raise NotAcceptable("Only application/fhir+json is spoken here.")


def demand_json_body(request: Request) -> None:
    sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if sent not in JSON_TYPES:
        raise UnsupportedMedia("Send application/fhir+json.")


def version_named(header: str | None) -> int | None:
    """The version an If-Match names: W/"3", "3" or 3. Raises Malformed."""
    if header is None:
        return None
    text = header.strip().removeprefix("W/").strip('"')
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004 (a version has no ten digits)
        raise Malformed('If-Match names one version, as in W/"3".')
    return int(text)


def one(request: Request, stored: Stored, notice: Notice | None) -> Response:
    """A single resource. 304 comes only once it was found visible, and is in the ledger."""
    headers = version_headers(stored) | (notice.headers() if notice else {})
    unmodified = request.headers.get("if-none-match")
    if unmodified is not None and unmodified.strip() in (headers["etag"], "*"):
        return Response(status_code=304, headers=headers)
    return Response(stored.body, 200, headers, FHIR_JSON)


def written(request: Request, result: Written, warnings: Sequence[Issue] = ()) -> Response:
    """201 or 200, with what `Prefer: return=` asks for.

    Warnings (a consent whose form is incomplete) are in the OperationOutcome if that was asked for,
    and counted in a header always.
    """
    stored = result.stored
    status = 201 if result.created else 200
    headers = version_headers(stored)
    headers["location"] = f"{base_of(request)}/{stored.type}/{stored.id}/_history/{stored.version}"
    if warnings:
        headers["x-warnings"] = str(len(warnings))
    prefer = request.headers.get("prefer", "")
    if "return=minimal" in prefer:
        return Response(b"", status, headers)
    if "return=OperationOutcome" in prefer:
        outcome = (
            operation_outcome(*warnings, severity="warning")
            if warnings
            else operation_outcome(SUCCESS, severity="information")
        )
        return Response(outcome, status, headers, FHIR_JSON)
    return Response(stored.body, status, headers, FHIR_JSON)


def version_headers(stored: Stored) -> dict[str, str]:
    return {"etag": f'W/"{stored.version}"', "last-modified": http_date(stored.updated)}


def http_date(at: Micros) -> str:
    return format_datetime(datetime.fromtimestamp(at // 1_000_000, UTC), usegmt=True)
