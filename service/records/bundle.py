"""FHIR's invariants of a Bundle, bdl-1 to bdl-12, as far as a Bundle itself can break them."""

from collections.abc import Iterator
from typing import Any

Fault = tuple[str, str]
Fields = dict[str, Any]
REQUESTS = frozenset({"batch", "transaction", "history"})
RESPONSES = frozenset({"batch-response", "transaction-response", "history"})
FOUND = frozenset({"searchset", "history"})


def bundle(value: Fields) -> Iterator[Fault]:
    kind, entries = value.get("type"), value.get("entry", ())
    if "total" in value and kind not in FOUND:
        yield "", "bdl-1: only a searchset or history has a total."
    for number, entry in enumerate(entries):
        if "search" in entry and kind != "searchset":
            yield f"entry[{number}]", "bdl-2: only a searchset has search."
        if ("request" in entry) != (kind in REQUESTS):
            yield f"entry[{number}]", "bdl-3: a request stands in batch, transaction and history."
        if ("response" in entry) != (kind in RESPONSES):
            yield f"entry[{number}]", "bdl-4: a response stands in responses and history."
    if kind != "history" and not _distinct(entries):
        yield "", "bdl-7: every fullUrl is used once."
    if kind == "document":
        yield from _document(value)
    if kind == "message" and not _begins(entries, "MessageHeader"):
        yield "", "bdl-12: a message begins with its MessageHeader."


def entry(value: Fields) -> Iterator[Fault]:
    if not {"resource", "request", "response"} & value.keys():
        yield "", "bdl-5: an entry has a resource, a request or a response."
    if "/_history/" in value.get("fullUrl", ""):
        yield "fullUrl", "bdl-8: a fullUrl names no version."


def _document(value: Fields) -> Iterator[Fault]:
    if not {"system", "value"} <= value.get("identifier", {}).keys():
        yield "identifier", "bdl-9: a document has an identifier."
    if "timestamp" not in value:
        yield "timestamp", "bdl-10: a document has a timestamp."
    if not _begins(value.get("entry", ()), "Composition"):
        yield "", "bdl-11: a document begins with its Composition."


def _distinct(entries: Any) -> bool:  # noqa: ANN401
    named = [
        (entry["fullUrl"], entry.get("resource", {}).get("meta", {}).get("versionId"))
        for entry in entries
        if "fullUrl" in entry
    ]
    return len(set(named)) == len(named)


def _begins(entries: Any, kind: str) -> bool:  # noqa: ANN401
    return bool(entries) and entries[0].get("resource", {}).get("resourceType") == kind
