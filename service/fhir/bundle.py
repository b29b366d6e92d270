"""Bundles as bytes: stored bodies are spliced in, never parsed again (design D7)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from service.fhir.notice import Notice
from service.records.stored import Stored

_json = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Link:
    relation: str
    url: str


def searchset(
    base: str,
    matches: Iterable[Stored],
    included: Iterable[Stored] = (),
    *,
    total: int | None = None,
    links: Sequence[Link] = (),
    notice: Notice | None = None,
    outcome: bytes | None = None,
) -> bytes:
    """A searchset Bundle; `outcome` and the Part 2 notice travel as entries of mode outcome."""
    entries = [_entry(base, stored, "match") for stored in matches]
    entries += [_entry(base, stored, "include") for stored in included]
    entries += [
        b'{"resource":' + note + b',"search":{"mode":"outcome"}}'
        for note in (outcome, notice.outcome() if notice else None)
        if note is not None
    ]
    return _bundle("searchset", total, links, entries, notice)


def history(
    base: str, versions: Iterable[Stored], *, links: Sequence[Link], notice: Notice | None = None,
) -> bytes:  # fmt: skip
    """A history Bundle, newest first; a deletion has no resource."""
    entries = []
    for stored in versions:
        method = "DELETE" if stored.deleted else "POST" if stored.version == 1 else "PUT"
        url = f"{stored.type}" if method == "POST" else f"{stored.type}/{stored.id}"
        status = {"POST": "201", "PUT": "200", "DELETE": "204"}[method]
        parts = [b'{"fullUrl":' + _json(f"{base}/{stored.type}/{stored.id}")]
        if not stored.deleted:
            parts.append(b'"resource":' + stored.body)
        parts.append(b'"request":' + _json({"method": method, "url": url}))
        etag = f'W/"{stored.version}"'
        parts.append(b'"response":' + _json({"status": status, "etag": etag}) + b"}")
        entries.append(b",".join(parts))
    if notice:
        entries.append(
            b'{"resource":' + notice.outcome() + b',"request":{"method":"GET","url":"Consent"},'
            b'"response":{"status":"200"}}'
        )
    return _bundle("history", None, links, entries, notice)


def _entry(base: str, stored: Stored, mode: str) -> bytes:
    url = _json(f"{base}/{stored.type}/{stored.id}")
    return (
        b'{"fullUrl":' + url + b',"resource":' + stored.body
        + b',"search":{"mode":"' + mode.encode() + b'"}}'
    )  # fmt: skip


def _bundle(
    kind: str, total: int | None, links: Sequence[Link], entries: list[bytes],
    notice: Notice | None,
) -> bytes:  # fmt: skip
    parts = [b'{"resourceType":"Bundle"']
    if notice:
        parts.append(b'"meta":' + _json({"security": notice.marks}))
    parts.append(b'"type":' + _json(kind))
    if total is not None:
        parts.append(b'"total":' + str(total).encode())
    parts.append(
        b'"link":' + _json([{"relation": link.relation, "url": link.url} for link in links])
    )
    if entries:  # an empty array is no valid FHIR
        parts.append(b'"entry":[' + b",".join(entries) + b"]")
    return b",".join(parts) + b"}"
