"""Reads typed fields out of an operation's payload, collecting faults instead of stopping at one.

A fault names path and rule, never the value. After a fault a stand-in of the right type is
returned; the caller raises once everything was read, so no stand-in ever leaves this room.
"""

import re
from collections.abc import Container, Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from service.errors import Issue
from service.vocabulary import ResourceId

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[\ud800-\udfff]")


class Fields:
    """One JSON object of the operation, its path, and the faults found so far."""

    def __init__(self, value: Any, path: str, issues: list[Issue]) -> None:  # noqa: ANN401 (JSON)
        self._path = path
        self._issues = issues
        self._value: dict[str, Any] = value if isinstance(value, dict) else {}
        if not isinstance(value, dict):
            issues.append(Issue("structure", "An object is expected.", path))

    def fault(self, name: str, code: str, diagnostics: str) -> None:
        self._issues.append(Issue(code, diagnostics, f"{self._path}.{name}"))

    def text(self, name: str, *, most: int, empty: bool = False) -> str:
        value = self._value.get(name)
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
        return None if self._value.get(name) in (None, "") else self.text(name, most=most)

    def texts(self, name: str, *, most: int, longest: int) -> Iterator[str]:
        values = self._value.get(name, [])
        if not isinstance(values, list) or len(values) > most:
            self.fault(name, "value", f"At most {most} texts are expected.")
            return
        for value in values:
            yield Fields({name: value}, self._path, self._issues).text(name, most=longest)

    def id(self, name: str) -> ResourceId:
        value = self._value.get(name)
        try:
            if isinstance(value, str) and str(UUID(value)) == value:
                return ResourceId(value)
        except ValueError:
            pass
        self.fault(name, "required", "A lower-case UUID is expected.")
        return ResourceId("")

    def optional_id(self, name: str) -> ResourceId | None:
        return None if self._value.get(name) is None else self.id(name)

    def instant(self, name: str) -> datetime:
        value = self._value.get(name)
        try:
            found = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            self.fault(name, "required", "An instant with its offset is expected.")
            return EPOCH
        return found

    def optional_date(self, name: str) -> str | None:
        value = self._value.get(name)
        if value is None:
            return None
        try:
            return date.fromisoformat(str(value)).isoformat()
        except ValueError:
            self.fault(name, "value", "A date as YYYY-MM-DD is expected.")
            return None

    def number(self, name: str, least: int, most: int) -> int | None:
        value = self._value.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.fault(name, "value", f"A whole number from {least} to {most} is expected.")
            return None
        return value

    def choice(self, name: str, allowed: Container[str]) -> str:
        value = self._value.get(name)
        if not isinstance(value, str) or value not in allowed:
            self.fault(name, "required", "One of the listed words is expected: see docs/sync.md.")
            return ""
        return value

    def optional_choice(self, name: str, allowed: Container[str]) -> str | None:
        return None if self._value.get(name) is None else self.choice(name, allowed)

    def child(self, name: str) -> "Fields":
        return Fields(self._value.get(name), f"{self._path}.{name}", self._issues)

    def optional_child(self, name: str) -> "Fields | None":
        return None if self._value.get(name) is None else self.child(name)

    def list(self, name: str, *, most: int, least: int = 0) -> "Iterator[Fields]":
        values = self._value.get(name, [])
        if not isinstance(values, list) or not least <= len(values) <= most:
            self.fault(name, "required", f"From {least} to {most} items are expected.")
            return
        for number, value in enumerate(values):
            yield Fields(value, f"{self._path}.{name}[{number}]", self._issues)
