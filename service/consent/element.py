"""What a decision looks at: one record's facts, and who asks for it, as values."""

from dataclasses import dataclass

from service.vocabulary import Confidentiality, Family, Micros


@dataclass(frozen=True, slots=True)
class Element:
    """One record. Reference strings are 'Type/id'; an undated record spans all time."""

    type: str
    id: str
    conf: Confidentiality
    families: Family
    lo: Micros
    hi: Micros
    author: str | None = None  # as the server recorded it
    authors: frozenset[str] = frozenset()  # everyone the record states as an author
    refers: frozenset[str] = frozenset()  # what it refers to
    referred: frozenset[str] = frozenset()  # what refers to it

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


@dataclass(frozen=True, slots=True)
class Asker:
    """A recipient by every name rules may know it by (recipients.py), its purpose, and now."""

    names: frozenset[str]
    purpose: str
    at: Micros
