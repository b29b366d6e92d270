"""One walk over a well-formed resource: all that a JSON schema cannot say.

Missing elements, two forms of one choice, bindings with a system, reference targets, narrative,
base64, invariants. The walk follows the element table, so it meets every element with its type.
"""

import binascii
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from service.errors import Issue
from service.records import bindings, elements, narrative, references
from service.records.elements import NESTED, Element
from service.records.invariants import INVARIANTS, Rule
from service.records.parts import Part
from service.records.paths import Place, spell

DAY = len("2026-03-12")
SERVER_META = frozenset({"versionId", "lastUpdated"})


def base64_fault(text: str) -> str | None:
    """Strict: one spelling for the same bytes. FHIR lets white space stand in between."""
    form = text.encode("ascii", "replace")
    try:
        if binascii.b2a_base64(binascii.a2b_base64(form, strict_mode=True), newline=False) == form:
            return None
    except binascii.Error:
        packed = "".join(text.split())
        if packed != text:
            return base64_fault(packed)
    return "The data is not base64."


def date_fault(text: str) -> str | None:
    """The schema has seen to the form; only the calendar knows the 30th of February."""
    if len(text) >= DAY:
        try:
            date.fromisoformat(text[:DAY])
        except ValueError:
            return "There is no such day."
    return None


CHECKS: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {
        "xhtml": narrative.fault,
        "base64Binary": base64_fault,
        "date": date_fault,
        "dateTime": date_fault,
        "instant": date_fault,
    }
)


class Spec(NamedTuple):
    """A type, reduced to what the walk must look at."""

    fields: Mapping[str, Element]
    deep: frozenset[str]
    required: tuple[tuple[str, tuple[str, ...]], ...]
    rule: Rule | None


@cache
def spec(kind: str) -> Spec:
    """Plain primitives are left out: the schema has said all there is to say about them."""
    primitives = elements.primitives()
    fields = {
        name: element
        for name, element in elements.elements(kind).items()
        if element.type != NESTED
        and (
            element.type not in primitives
            or element.type in CHECKS
            or element.choice
            or element.many
        )
    }
    deep = frozenset(name for name, element in fields.items() if element.type not in primitives)
    return Spec(fields, deep, elements.required(kind), INVARIANTS.get(kind))


class Survey:
    """The faults of one resource, and the references it makes."""

    def __init__(self, part: Part) -> None:
        self.issues: list[Issue] = []
        self.patients: list[tuple[str, Place]] = []
        holder = (part.container or part).resource
        self.contained = {
            f"#{inner['id']}": inner["resourceType"]
            for inner in holder.get("contained", ())
            if "id" in inner
        }
        self.contained["#"] = holder["resourceType"]
        self.kinds = elements.every_resource()
        self._visit(part.resource, part.kind, part.place)
        self._whole(part)

    def _fault(self, code: str, message: str, place: Place) -> None:
        self.issues.append(Issue(code, message, spell(place)))

    def _visit(self, value: dict[str, Any], kind: str, place: Place) -> None:
        fields, deep, required, rule = spec(kind)
        if len(value) == 1 and "id" in value and kind != "Element":
            self._fault("invariant", "ele-1: an element is more than its id.", place)
        for path, names in required:
            if not any(name in value for name in names):
                self._fault("required", "A mandatory element is missing.", (place, path, None))
        chosen: dict[str, str] = {}
        for name in value:
            element = fields.get(name)
            if element is None:
                continue
            if element.choice:
                bare = name.lstrip("_")
                if chosen.setdefault(element.choice, bare) != bare:
                    here: Place = (place, element.path, None)
                    self._fault("structure", "Two forms of one choice.", here)
            self._members(value, name, element, place, deep=name in deep)
        if rule is not None:
            for below, message in rule(value):
                self._fault("invariant", message, (place, below, None) if below else place)

    def _members(
        self, value: dict[str, Any], name: str, element: Element, place: Place, *, deep: bool
    ) -> None:
        child = value[name]
        if child.__class__ is not list:
            self._element(child, element, (place, element.path, None), deep=deep)
            return
        for number, one in enumerate(child):
            here: Place = (place, element.path, number)
            if one is not None:
                self._element(one, element, here, deep=deep)
            elif not _has(value, name, number):
                self._fault("structure", "A null has no partner.", here)

    def _element(self, value: Any, element: Element, place: Place, *, deep: bool) -> None:  # noqa: ANN401
        if element.type == "Reference":
            self._reference(value, element, place)
        elif element.codes is not None and deep:
            if message := bindings.fault(value, element.type, element.codes):
                self._fault("code-invalid", message, place)
        elif (check := CHECKS.get(element.type)) and (message := check(value)):
            self._fault("value", message, place)
        if deep:
            self._visit(value, element.type, place)

    def _reference(self, value: dict[str, Any], element: Element, place: Place) -> None:
        text = value.get("reference")
        stated = value.get("type")
        if stated is not None and element.targets and stated in self.kinds - element.targets:
            self._fault("value", "This element does not refer to that type.", place)
        if text is None:
            return
        if text.startswith("#"):
            kind = self.contained.get(text)
            if kind is None:
                self._fault("invariant", "ref-1: no contained resource has this id.", place)
            elif element.targets and kind not in element.targets:
                self._fault("value", "This element does not refer to that type.", place)
            return
        if message := references.fault(text, self.kinds, element.targets):
            self._fault("value", message, place)
        elif "Patient/" in text and (found := references.target(text)) and found.type == "Patient":
            self.patients.append((found.id, place))

    def _whole(self, part: Part) -> None:
        """Invariants of DomainResource: dom-2 to dom-5."""
        resource = part.resource
        if part.container is None:
            if "contained" in resource:
                self._unnamed(resource, part.place)
            return
        meta = resource.get("meta", {})
        if "contained" in resource:
            self._fault("invariant", "dom-2: a contained resource contains none.", part.place)
        if SERVER_META & meta.keys():
            self._fault("invariant", "dom-4: a contained resource has no version.", part.place)
        if "security" in meta:
            self._fault("invariant", "dom-5: a contained resource has no labels.", part.place)

    def _unnamed(self, resource: dict[str, Any], place: Place) -> None:
        named = set(_local(resource))
        for number, inner in enumerate(resource["contained"]):
            here: Place = (place, "contained", number)
            if "id" not in inner:
                self._fault("required", "A contained resource has an id.", here)
            elif f"#{inner['id']}" not in named and "#" not in _local(inner):
                self._fault("invariant", "dom-3: nothing refers to this resource.", here)
        if len(self.contained) - 1 < sum("id" in inner for inner in resource["contained"]):
            self._fault("invariant", "Two contained resources have one id.", place)


def _has(value: dict[str, Any], name: str, number: int) -> bool:
    """True if the partner (`_given` of `given`) fills the place of a null."""
    partner = value.get(name[1:] if name.startswith("_") else f"_{name}")
    return isinstance(partner, list) and len(partner) > number and partner[number] is not None


def _local(value: Any) -> Iterator[str]:  # noqa: ANN401
    """Every string that could name a contained resource."""
    match value:
        case dict():
            for child in value.values():
                yield from _local(child)
        case list():
            for child in value:
                yield from _local(child)
        case str() if value.startswith("#"):
            yield value
        case _:
            return
