"""Parameters and answers of the review door; a fault names the parameter, never its value."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

import msgspec
from fastapi import Response

from service.errors import Issue, Malformed
from service.vocabulary import EntryId, Micros

DEFAULT_PAGE = 50
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NUMBER = re.compile(r"\d{1,18}", re.ASCII)
Word = TypeVar("Word", bound=StrEnum)


def is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def only(asked: Mapping[str, str], known: Collection[str]) -> None:
    """A filter that we do not know would silently answer with more than was asked for."""
    if not set(asked) <= set(known):
        raise Malformed("A parameter here is not known: one of " + ", ".join(sorted(known)) + ".")


def uuid_of(asked: Mapping[str, str], name: str) -> str:
    if not is_uuid(asked[name]):
        raise _fault(name, "a lower-case UUID")
    return asked[name]


def one_of(asked: Mapping[str, str], name: str, words: type[Word]) -> Word | None:
    if name not in asked:
        return None
    try:
        return words(asked[name])
    except ValueError:
        raise _fault(name, "one of " + ", ".join(words)) from None


def micros(asked: Mapping[str, str], name: str) -> Micros | None:
    """A date or an instant; a date without time is its first moment, UTC."""
    if name not in asked:
        return None
    try:
        found = datetime.fromisoformat(asked[name].replace(" ", "+"))
    except ValueError:
        raise _fault(name, "a date or an instant, as in 2026-03-12T14:00:00Z") from None
    at = found if found.tzinfo else found.replace(tzinfo=UTC)
    return Micros((at - EPOCH) // timedelta(microseconds=1))


def page_of(asked: Mapping[str, str], *, most: int) -> int:
    text = asked.get("limit", str(DEFAULT_PAGE))
    if not NUMBER.fullmatch(text) or not 0 < int(text) <= most:
        raise _fault("limit", f"a whole number from 1 to {most}")
    return int(text)


def place_of(asked: Mapping[str, str], name: str) -> tuple[Micros, EntryId] | None:
    """Where a page ended: an entry's time and id."""
    if name not in asked:
        return None
    at, _, id_ = asked[name].partition(".")
    if not NUMBER.fullmatch(at) or not is_uuid(id_):
        raise _fault(name, "the `next` of the page before")
    return Micros(int(at)), EntryId(id_)


def instant_of(at: Micros) -> str:
    found = datetime.fromtimestamp(at / 1_000_000, UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_of(content: object) -> Response:
    return Response(msgspec.json.encode(content), 200, None, "application/json")


def _fault(name: str, wanted: str) -> Malformed:
    diagnostics = f"`{name}` is {wanted}."
    return Malformed(diagnostics, Issue("value", diagnostics, name))
