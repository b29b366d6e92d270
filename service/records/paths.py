"""Where something stands in a resource, spelt as FHIRPath only when a message needs it."""

from collections.abc import Iterable
from typing import Optional

from service.records import elements

Place = tuple[Optional["Place"], str, int | None]
"""A step into a resource: the steps above, a name, its number in an array. The top is the type."""


def top(kind: str) -> Place:
    """Where a resource of this type begins. A type we do not know is not repeated."""
    return (None, kind if kind in elements.resources() else "Resource", None)


def spell(place: Place | None) -> str:
    """The place as FHIRPath: `Encounter.participant[1].individual`."""
    steps = []
    while place is not None:
        place, name, number = place
        steps.append(name if number is None else f"{name}[{number}]")
    return ".".join(reversed(steps))


def expression(place: Place, pointer: Iterable[str | int], kind: str) -> str:
    """FHIRPath of a JSON pointer under `place`: valueString is `value`, _birthDate is `birthDate`.

    A name that the type does not have ends the path: it came from the caller and is not repeated.
    """
    path = spell(place)
    for step in pointer:
        if isinstance(step, int):
            path += f"[{step}]"
            continue
        element = elements.elements(kind).get(step) if kind in elements.types() else None
        if element is None:
            break
        path += f".{element.path}"
        kind = element.type
    return path
