"""Reads the parameters of the review door; a fault names the parameter, never its value."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from service.errors import Issue, Malformed
from service.vocabulary import Micros

DEFAULT_PAGE = 50
Word = TypeVar("Word", bound=StrEnum)


def is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


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
    return Micros(int(at.timestamp() * 1_000_000))


def page_of(asked: Mapping[str, str], *, most: int) -> int:
    text = asked.get("limit", str(DEFAULT_PAGE))
    if not text.isdigit() or not 0 < int(text) <= most:
        raise _fault("limit", f"a whole number from 1 to {most}")
    return int(text)


def instant_of(at: Micros) -> str:
    found = datetime.fromtimestamp(at / 1_000_000, UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fault(name: str, wanted: str) -> Malformed:
    diagnostics = f"`{name}` is {wanted}."
    return Malformed(diagnostics, Issue("value", diagnostics, name))
