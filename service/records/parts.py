"""The resources inside a resource: contained ones, entries of a Bundle, values of Parameters."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from service.records.paths import Place, top

INSIDE = {"Bundle": ("entry",), "Parameters": ("parameter", "part")}


@dataclass(frozen=True, slots=True)
class Part:
    """One resource, where it stands, and the resource whose `contained` holds it, if one does."""

    resource: dict[str, Any]
    place: Place
    container: "Part | None" = None

    @property
    def kind(self) -> str:
        """The resource type, or '' where none is stated."""
        kind = self.resource.get("resourceType")
        return kind if isinstance(kind, str) else ""


def parts(resource: dict[str, Any]) -> Iterator[Part]:
    """The resource itself, then everything inside it, at any depth; assumes nothing valid."""
    kind = resource.get("resourceType")
    waiting = [Part(resource, top(kind if isinstance(kind, str) else ""))]
    while waiting:
        part = waiting.pop()
        yield part
        for number, inner in _objects(part.resource.get("contained")):
            waiting.append(Part(inner, (part.place, "contained", number), part))
        for name in INSIDE.get(part.kind, ())[:1]:
            waiting += _slots(part.resource, part.place, name)


def alone(resource: dict[str, Any], kind: str) -> dict[str, Any]:
    """The resource less every resource inside it."""
    left = {name: value for name, value in resource.items() if name != "contained"}
    for name in INSIDE.get(kind, ()):
        if name in left:
            left[name] = [_emptied(item) for item in left[name]]
    return left


def _slots(holder: dict[str, Any], place: Place, name: str) -> Iterator[Part]:
    """Resources in the `resource` element of a list's items, and of their parts."""
    for number, item in _objects(holder.get(name)):
        here: Place = (place, name, number)
        inner = item.get("resource")
        if isinstance(inner, dict):
            yield Part(inner, (here, "resource", None))
        if name != "entry":
            yield from _slots(item, here, "part")


def _emptied(item: dict[str, Any]) -> dict[str, Any]:
    left = {name: value for name, value in item.items() if name != "resource"}
    if "part" in left:
        left["part"] = [_emptied(inner) for inner in left["part"]]
    return left


def _objects(found: object) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, item in enumerate(found if isinstance(found, list) else ()):
        if isinstance(item, dict):
            yield number, item
