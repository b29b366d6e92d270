"""Reads typed fields out of an operation's payload, collecting faults instead of stopping at one.

A fault names path and rule, never the value. After a fault a stand-in of the right type is
returned; the caller raises once everything was read, so no stand-in ever leaves this room.
"""

import re
from collections.abc import Container, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from service.errors import Issue
from service.vocabulary import ResourceId

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for an instant that could not be read."""
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[\ud800-\udfff]")
INSTANT = re.compile(
    r"(20|21)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))",
    re.ASCII,
)
"""An instant as FHIR writes it, in the years in which this service may be used."""
DATE = re.compile(r"(20|21)\d\d-\d\d-\d\d", re.ASCII)


class Fields:
    """One JSON object of the operation, its path, and the faults found so far."""

    def __init__(self, value: Any, path: str, issues: list[Issue]) -> None:  # noqa: ANN401 (JSON)
        self._path = path
        self._issues = issues
        self._read: set[str] = set()
        self._value: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            self._say(path, "structure", "An object is expected.")

    def nothing_else(self) -> None:
        """Every field was asked for: one that we do not know would be lost without a word."""
        if not self._read >= self._value.keys():
            text = "There is a field here that is not known: see docs/sync.md."
            self._say(self._path, "structure", text)

    def _get(self, name: str) -> Any:  # noqa: ANN401 (JSON)
        self._read.add(name)
        return self._value.get(name)

    def fault(self, name: str, code: str, diagnostics: str) -> None:
        self._say(f"{self._path}.{name}", code, diagnostics)

    def _say(self, path: str, code: str, diagnostics: str) -> None:
        """One fault a path: what follows from the first one is no news."""
        if all(issue.expression != path for issue in self._issues):
            self._issues.append(Issue(code, diagnostics, path))

    def text(self, name: str, *, most: int, empty: bool = False) -> str:
        return self._text(self._get(name), name, most=most, empty=empty)

    def _text(self, value: object, name: str, *, most: int, empty: bool = False) -> str:
        if value is None and empty:
            return ""
        if not isinstance(value, str) or (not value.strip() and not empty):
            self.fault(name, "required", "A text is expected.")
            return ""
        if len(value.encode("utf-8", "surrogatepass")) > most:
            self.fault(name, "too_long", f"At most {most} bytes.")
            return ""
        if CONTROL.search(value):
            self.fault(name, "value", "Control characters do not belong here.")
            return ""
        return value

    def optional_text(self, name: str, *, most: int) -> str | None:
        return None if self._get(name) in (None, "") else self.text(name, most=most)

    def texts(self, name: str, *, most: int, longest: int) -> Iterator[str]:
        for number, value in enumerate(self._values(name, most=most)):
            yield self._text(value, f"{name}[{number}]", most=longest)

    def _values(self, name: str, *, most: int, least: int = 0) -> Sequence[Any]:
        values = self._get(name)
        values = [] if values is None else values
        if not isinstance(values, list) or not least <= len(values) <= most:
            self.fault(name, "required", f"From {least} to {most} items are expected.")
            return []
        return values

    def id(self, name: str) -> ResourceId:
        value = self._get(name)
        try:
            if isinstance(value, str) and str(UUID(value)) == value:
                return ResourceId(value)
        except ValueError:
            pass
        self.fault(name, "required", "A lower-case UUID is expected.")
        return ResourceId("")

    def optional_id(self, name: str) -> ResourceId | None:
        return None if self._get(name) is None else self.id(name)

    def instant(self, name: str) -> datetime:
        value = self._get(name)
        try:
            if isinstance(value, str) and INSTANT.fullmatch(value):
                return datetime.fromisoformat(value)
        except ValueError:
            pass
        self.fault(name, "required", "An instant with its offset is expected.")
        return NEVER

    def optional_date(self, name: str) -> str | None:
        value = self._get(name)
        if value is None:
            return None
        try:
            if isinstance(value, str) and DATE.fullmatch(value):
                return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
        self.fault(name, "value", "A date as YYYY-MM-DD is expected.")
        return None

    def number(self, name: str, least: int, most: int) -> int | None:
        value = self._get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.fault(name, "value", f"A whole number from {least} to {most} is expected.")
            return None
        return value

    def choice(self, name: str, allowed: Container[str]) -> str:
        value = self._get(name)
        if not isinstance(value, str) or value not in allowed:
            self.fault(name, "required", "One of the listed words is expected: see docs/sync.md.")
            return ""
        return value

    def optional_choice(self, name: str, allowed: Container[str]) -> str | None:
        return None if self._get(name) is None else self.choice(name, allowed)

    def child(self, name: str) -> "Fields":
        return Fields(self._get(name), f"{self._path}.{name}", self._issues)

    def optional_child(self, name: str) -> "Fields | None":
        return None if self._get(name) is None else self.child(name)

    def list(self, name: str, *, most: int, least: int = 0) -> "Iterator[Fields]":
        for number, value in enumerate(self._values(name, most=most, least=least)):
            yield Fields(value, f"{self._path}.{name}[{number}]", self._issues)
