"""SMART scopes as a grammar and a lattice: what was asked, met with what was registered.

https://hl7.org/fhir/smart-app-launch/scopes-and-launch-context.html, versions 1 and 2. Pure.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LETTERS = "cruds"
VERSION_1 = {"read": "rs", "write": "cud", "*": LETTERS}
ANY = "*"
GRANULAR = frozenset({"category"})
"""Search parameters by which a scope may be narrowed to some rows of a type."""
GRAMMAR = re.compile(
    r"(patient|user|system)/(\*|[A-Z][A-Za-z]{1,63})"
    r"\.(read|write|\*|(?=[cruds])c?r?u?d?s?)"
    r"(?:\?([a-z][a-z-]{0,63})=([!-~]{1,200}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Scope:
    """`narrowed` is a search parameter and its value: only rows that match it."""

    level: str  # patient, user, system
    type: str  # a resource type, or '*'
    letters: frozenset[str]
    narrowed: tuple[str, str] | None = None

    def covers(self, other: "Scope") -> bool:
        """Everything that `other` opens, this opens."""
        return (
            self.level == other.level
            and self.type in (ANY, other.type)
            and self.letters >= other.letters
            and self.narrowed in (None, other.narrowed)
        )

    def meet(self, other: "Scope") -> "Scope | None":
        """What both open; None if that is nothing, or cannot be said in one scope."""
        letters = self.letters & other.letters
        if self.level != other.level or not letters:
            return None
        if ANY not in (self.type, other.type) and self.type != other.type:
            return None
        if self.narrowed and other.narrowed and self.narrowed != other.narrowed:
            return None
        return Scope(
            self.level,
            other.type if self.type == ANY else self.type,
            letters,
            self.narrowed or other.narrowed,
        )

    def __str__(self) -> str:
        suffix = "?{}={}".format(*self.narrowed) if self.narrowed else ""
        return (
            f"{self.level}/{self.type}.{''.join(c for c in LETTERS if c in self.letters)}{suffix}"
        )


def parse(text: str) -> Scope | None:
    """One scope, or None if it is not one that we speak."""
    found = GRAMMAR.fullmatch(text)
    if found is None:
        return None
    level, type_, letters, parameter, value = found.groups()
    if parameter is not None and (parameter not in GRANULAR or type_ == ANY):
        return None
    return Scope(
        level, type_, frozenset(VERSION_1.get(letters, letters)),
        (parameter, value) if parameter else None,
    )  # fmt: skip


def grant(asked: str, registered: str, levels: Iterable[str]) -> tuple[str, ...]:
    """The scopes to grant, in the order asked: malformed and unregistered ones are left out.

    One that is granted whole is echoed as it was asked, so that a version 1 client knows it again;
    one that is granted in part comes back as the part.
    """
    allowed = [scope for scope in map(parse, registered.split()) if scope]
    granted: dict[str, Scope] = {}
    for text in asked.split():
        wanted = parse(text)
        if wanted is None or wanted.level not in levels:
            continue
        if any(scope.covers(wanted) for scope in allowed):
            granted.setdefault(text, wanted)
            continue
        for part in filter(None, (scope.meet(wanted) for scope in allowed)):
            granted.setdefault(str(part), part)
    return tuple(granted)
