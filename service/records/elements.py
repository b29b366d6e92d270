"""HL7's R4 elements as a table: what each type holds, from definitions/elements.json.

One table feeds the JSON schemas (structure), the walk over a resource (survey) and the paths in
messages, so the three cannot disagree.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "definitions" / "elements.json"
NESTED = "Resource"
"""The type of contained, Bundle.entry.resource and Parameters.parameter.resource."""
PRIMITIVE_ELEMENT: Mapping[str, Mapping[str, Any]] = {
    "id": {"type": "string"},
    "extension": {"type": "Extension", "many": True},
}


@dataclass(frozen=True, slots=True)
class Element:
    """One JSON name inside a type. `path` is its FHIRPath name: a choice loses its suffix."""

    path: str
    type: str
    many: bool
    choice: str | None
    codes: str | None
    targets: frozenset[str]


@cache
def _table() -> Mapping[str, Any]:
    table: dict[str, Any] = json.loads(TABLE.read_text())
    table["types"]["Element"] = PRIMITIVE_ELEMENT
    return table


def types() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Type to JSON name to the derived facts, as they stand in the file."""
    found: Mapping[str, Mapping[str, Mapping[str, Any]]] = _table()["types"]
    return found


def primitives() -> Mapping[str, Mapping[str, Any]]:
    """Primitive type to its JSON schema."""
    found: Mapping[str, Mapping[str, Any]] = _table()["primitives"]
    return found


@cache
def resources() -> frozenset[str]:
    """The resource types we know: those stored, those spoken over HTTP, those contained."""
    return frozenset(_table()["resources"])


@cache
def codes(name: str) -> Mapping[str, frozenset[str]]:
    """System to codes of one required value set."""
    return {system: frozenset(found) for system, found in _table()["codes"][name].items()}


@cache
def plain_codes(name: str) -> tuple[str, ...]:
    """The codes of a value set without their systems, for elements of type code."""
    return tuple(sorted(frozenset().union(*codes(name).values())))


@cache
def every_resource() -> frozenset[str]:
    """All resource types of R4, known here or not: what a reference may name."""
    return frozenset(plain_codes("resource-types"))


@cache
def elements(kind: str) -> Mapping[str, Element]:
    """Every JSON name of a type, `_name` of its primitives included."""
    found = {}
    for name, facts in types()[kind].items():
        choice = facts.get("choice")
        element = Element(
            path=choice or name,
            type=facts["type"],
            many=facts.get("many", False),
            choice=choice,
            codes=facts.get("codes"),
            targets=frozenset(facts.get("targets", ())),
        )
        found[name] = element
        if element.type in primitives():
            found[f"_{name}"] = Element(
                element.path, "Element", element.many, choice, None, frozenset()
            )
    return found


@cache
def required(kind: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(FHIRPath name, JSON names of which one must be there) for each element that must."""
    wanted: dict[str, list[str]] = {}
    for name, facts in types()[kind].items():
        if facts.get("min"):
            names = wanted.setdefault(facts.get("choice", name), [])
            names += [name, f"_{name}"] if facts["type"] in primitives() else [name]
    return tuple((path, tuple(names)) for path, names in wanted.items())
