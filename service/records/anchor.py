"""What a resource hangs on: the participant whose record it is part of, and what it refers to."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from service.errors import Invalid, Issue, Malformed
from service.vocabulary import HOUSE_TYPES, STORED_TYPES, is_id

Json = Mapping[str, object]

SUBJECT: Mapping[str, str] = {
    "Encounter": "subject", "DocumentReference": "subject", "Consent": "patient",
    "CareTeam": "subject", "CarePlan": "subject", "Goal": "subject", "Condition": "subject",
    "Observation": "subject", "QuestionnaireResponse": "subject", "ServiceRequest": "subject",
    "Task": "for", "Flag": "subject", "Communication": "subject", "RelatedPerson": "patient",
    "Provenance": "target", "Binary": "securityContext",
}  # fmt: skip
"""The element that names the participant; for the last two, what belongs to the participant."""

_LOCAL = re.compile(r"([A-Z][A-Za-z]{1,40})/([^/?#]+)(?:/_history/[^/?#]+)?")


class Link(NamedTuple):
    """One literal reference within a resource, and the FHIRPath of the Reference that holds it."""

    type: str
    id: str
    expression: str


def stored_type(resource: Json) -> str:
    """The resource's type, which must be one we store."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or kind not in STORED_TYPES:
        raise Malformed("resourceType names no type that is stored here.")
    return kind


def checked_id(value: object) -> str:
    """A lower-case hyphenated UUID; a second spelling of one id would be a second record."""
    if not is_id(value):
        raise Malformed("An id here is a lower-case UUID.", Issue(
            "value", "An id here is a lower-case UUID; choose one, or let the server choose.", "id",
        ))  # fmt: skip
    return value


def anchors(resource: Json, type: str) -> tuple[Link, ...]:
    """The references that place this resource in a participant's record; none for house types."""
    if type in HOUSE_TYPES or type == "Patient":
        return ()
    element = SUBJECT[type]
    expression = f"{type}.{element}"
    value = resource.get(element)
    values = value if isinstance(value, list) else [value]
    found = []
    for one in values:
        reference = one.get("reference") if isinstance(one, Mapping) else None
        link = local(reference, expression) if isinstance(reference, str) else None
        if link is None:
            raise Invalid("Whose record this belongs to is not said.", Issue(
                "required", "Name it by a literal reference to a record stored here.", expression,
            ))  # fmt: skip
        found.append(link)
    return tuple(found)


def links(resource: Json, path: str) -> Iterator[Link]:
    """Every literal local reference, at any depth, `contained` included."""
    for name, value in resource.items():
        if name == "reference" and isinstance(value, str):
            link = local(value, path)
            if link:
                yield link
        elif isinstance(value, Mapping):
            yield from links(value, f"{path}.{name}")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            for number, one in enumerate(value):
                if isinstance(one, Mapping):
                    yield from links(one, f"{path}.{name}[{number}]")


def local(reference: str, expression: str) -> Link | None:
    """What a reference names here; None for a fragment or somebody else's server."""
    if reference.startswith(("#", "http://", "https://", "urn:oid:")):
        return None
    match = _LOCAL.fullmatch(reference)
    if not match or match[1] not in STORED_TYPES or not is_id(match[2]):
        raise unresolved(expression)
    return Link(match[1], match[2], expression)


def unresolved(expression: str) -> Invalid:
    """One answer for what is absent, hidden, deleted or no reference at all."""
    return Invalid("A reference does not resolve.", Issue(
        "not-found", "This names no record that is stored here; create it first.", expression,
    ))  # fmt: skip
