"""References: what they name, what they may name, and whose record a resource belongs to."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from service.records.paths import Place, spell, top
from service.vocabulary import HOUSE_TYPES, PatientId

LITERAL = re.compile(
    r"(https?://\S+/)?([A-Z][A-Za-z]{1,40})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)
CONDITIONAL = re.compile(r"([A-Z][A-Za-z]{1,40})\?\S+")
FOREIGN = ("http://", "https://", "urn:")
ANCHORS = {"Consent": "patient", "RelatedPerson": "patient", "Task": "for"}
"""Where a type names its participant, if not in `subject`."""
BEYOND = re.compile(
    r"Patient\.link\[\d+\]\.other|Group\.member\[\d+\]\.entity"
    r"|Consent\.(?:performer\[\d+\]|provision\S*\.actor\[\d+\]\.reference)"
)
"""Where another Patient may be named: it says who acts or who else exists, not who it is about."""


class Target(NamedTuple):
    """What a literal reference names. `local` is False for an absolute URL."""

    type: str
    id: str
    local: bool


def target(reference: str) -> Target | None:
    """The type and id named by `Type/id`, with or without a base or a version."""
    found = LITERAL.fullmatch(reference)
    return Target(found[2], found[3], found[1] is None) if found else None


def references(resource: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(FHIRPath, type, id) of each relative literal reference, contained resources included."""
    waiting: list[tuple[Any, Place]] = [(resource, top(resource.get("resourceType", "")))]
    while waiting:
        value, place = waiting.pop()
        for name, child in value.items():
            kind = child.__class__
            if kind is dict:
                waiting.append((child, (place, name, None)))
            elif kind is list:
                waiting += [
                    (one, (place, name, number))
                    for number, one in enumerate(child)
                    if one.__class__ is dict
                ]
            elif name == "reference" and kind is str:
                found = target(child)
                if found and found.local:
                    yield spell(place), found.type, found.id


def patient_of(resource: dict[str, Any]) -> PatientId | None:
    """The participant a resource belongs to, as it says itself; None where it does not say.

    Provenance says so only when it targets a Patient, Binary only when its securityContext is one:
    otherwise they belong to whoever their target or context belongs to, which only the store knows.
    A group event (Encounter.subject is a Group) and house types have no participant.
    """
    kind = resource["resourceType"]
    if kind == "Patient":
        return PatientId(resource["id"]) if "id" in resource else None
    if kind in HOUSE_TYPES:
        return None
    named = resource.get(ANCHORS.get(kind, "subject"))
    if kind == "Binary":
        named = resource.get("securityContext")
    stated = resource.get("target", []) if kind == "Provenance" else [named or {}]
    for reference in stated:
        found = target(reference.get("reference", ""))
        if found and found.type == "Patient" and found.local:
            return PatientId(found.id)
    return None


def fault(reference: str, kinds: frozenset[str], allowed: frozenset[str]) -> str | None:
    """Why a reference (not to `#contained`) is refused, or None. No `allowed`: any of `kinds`."""
    found = LITERAL.fullmatch(reference)
    if found is None:
        conditional = CONDITIONAL.fullmatch(reference)
        if conditional is None:
            return None if reference.startswith(FOREIGN) else "A reference has the form Type/id."
        named = conditional[1]
    else:
        named = found[2]
        if found[1] and named not in kinds:
            return None  # a URL that only looks like Type/id
    return None if named in (allowed or kinds) else "This element does not refer to that type."
