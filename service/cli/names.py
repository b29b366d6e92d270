"""Turns what an export calls its records into literal references: `Type/id`.

Within a Bundle a record is called by its fullUrl; between files some systems refer by a search
(`Practitioner?identifier=system|value`), which must find exactly one record.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from service.access.act import Act
from service.errors import Invalid, Issue

NAMING = frozenset({"reference", "url", "uri", "valueUrl", "valueUri"})
"""Elements whose value may be the name of another record; an identifier's value never is."""
CONDITIONAL = re.compile(rb'"reference"\s*:\s*"[A-Za-z]+\?')
SEARCH = re.compile(r"([A-Z][A-Za-z]+)\?(.+)")
Json = dict[str, Any]
Renaming = Callable[[str, str, str], str | None]
"""Given an element's name, its value and where it stands: the new value, or None to keep it."""


class Names:
    """The names that hold within one Bundle."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def get(self, _element: str, value: str, _place: str) -> str | None:
        return self._names.get(value)


def renamed(resource: Json, new: Renaming) -> Json:
    """The same resource, its references by their new names: one walk, however many there are."""
    walked = _walked(resource, "", str(resource.get("resourceType", "")), new)
    assert isinstance(walked, dict)  # noqa: S101 (narrows: a dict is walked into a dict)
    return walked


def _walked(value: object, element: str, place: str, new: Renaming) -> object:
    match value:
        case dict():
            return {
                name: _walked(below, name, f"{place}.{name}", new) for name, below in value.items()
            }
        case list():
            return [
                _walked(below, element, f"{place}[{number}]", new)
                for number, below in enumerate(value)
            ]
        case str() if element in NAMING:
            return new(element, value, place) or value
        case _:
            return value


class Conditional:
    """Follows references by search, as the operator sees the store; remembers what it found."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def followed(self, act: Act, body: bytes, resource: Json) -> Json:
        """Invalid, with the place of the reference, unless each finds exactly one record."""
        if not CONDITIONAL.search(body):
            return resource

        def new(element: str, value: str, place: str) -> str | None:
            searched = SEARCH.fullmatch(value) if element == "reference" else None
            if searched is None:
                return None
            if value not in self._found:
                self._found[value] = _one(act, searched[1], searched[2], place)
            return self._found[value]

        return renamed(resource, new)


def _one(act: Act, type_: str, query: str, place: str) -> str:
    asked = act.asked(type_, [*parse_qsl(query, keep_blank_values=True), ("_count", "2")])
    found = act.search(asked).stored
    if not found:
        raise Invalid("A reference does not resolve.", Issue(
            "not-found", "This search finds no record that is stored here.", place,
        ))  # fmt: skip
    if len(found) > 1:
        raise Invalid("A reference is ambiguous.", Issue(
            "multiple-matches", "This search finds several records; name one.", place,
        ))  # fmt: skip
    return f"{type_}/{found[0].id}"
