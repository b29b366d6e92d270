"""Where an import was: per file how many lines are dealt with, and which of those to try again.

A note is written after its batch is durable, so a lost note costs time, never a record. The
journal is this database's only: notes that know of later commits than the database has are of
another one, or of a time before it was restored, and count for nothing.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.cli.sources import Line


@dataclass(slots=True)
class Seen:
    """One file: `again` are the places of lines that were refused or wait for another record."""

    stamp: list[int]
    lines: int = 0
    again: set[int] = field(default_factory=set)
    not_kept: Counter[str] = field(default_factory=Counter)

    def deals_with(self, place: int) -> bool:
        return place >= self.lines or place in self.again


class Journal:
    """One directory's notes for one database, in one small file."""

    def __init__(self, path: Path, horizon: int, *, again: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        held = {} if again else _held(path)
        ours = held.get("horizon", 0) <= horizon
        self._files: dict[str, Any] = held.get("files", {}) if ours else {}
        self._seen: dict[str, Seen] = {}

    def open(self, name: str, path: Path) -> Seen:
        """What is known of a file, unless it has changed since."""
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        known = self._files.get(name)
        if known and known["stamp"] == stamp:
            again, not_kept = set(known["again"]), Counter(known["not_kept"])
            seen = Seen(stamp, known["lines"], again, not_kept)
        else:
            seen = Seen(stamp)
        self._seen[name] = seen
        return seen

    def settle(self, line: Line) -> None:
        self._seen[line.file].again.discard(line.place)

    def keep(self, line: Line) -> None:
        """Try this one again, in this run or the next."""
        self._seen[line.file].again.add(line.place)

    def pass_over(self, line: Line, type_: str) -> None:
        self._seen[line.file].not_kept[type_] += 1

    def save(self, batch: list[Line], horizon: int) -> None:
        """`batch` is durable: say so."""
        for line in batch:
            seen = self._seen[line.file]
            seen.lines = max(seen.lines, line.place + 1)
        self._files |= {
            name: {
                "stamp": seen.stamp,
                "lines": seen.lines,
                "again": sorted(seen.again),
                "not_kept": dict(seen.not_kept),
            }
            for name, seen in self._seen.items()
        }
        scratch = self._path.with_suffix(".new")
        scratch.write_text(json.dumps({"horizon": horizon, "files": self._files}))
        scratch.replace(self._path)


def _held(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return held if isinstance(held, dict) and isinstance(held.get("files"), dict) else {}
