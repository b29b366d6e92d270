"""Reads an export directory and stores it in batches; knows where it was when it is run again.

Referenced types come first. A line whose reference does not resolve yet is tried once more at the
end, so references within a type and cycles between types load as well.
"""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from service.access.act import Act
from service.access.caller import Caller
from service.access.enforce import Access
from service.errors import Invalid, PeernotesError, Unavailable
from service.records.document import encode, parse
from service.vocabulary import (
    STORED_TYPES,
    Action,
    Micros,
    Purpose,
    Relation,
    Role,
)

BATCH = 200
ORDER = (
    "Organization", "Location", "Practitioner", "PractitionerRole", "Questionnaire", "Patient",
    "RelatedPerson", "CareTeam", "Encounter", "Condition", "Goal", "CarePlan", "ServiceRequest",
    "Observation", "QuestionnaireResponse", "DocumentReference", "Binary", "Communication", "Flag",
    "Task", "Provenance", "Consent",
)  # fmt: skip
OPERATOR = Caller(
    principal="00000000-0000-4000-8000-000000000001", client="peernotes-import", role=Role.EHR,
    relation=Relation.INSIDE, organisation=None, practitioner=None, patient=None,
    purposes=(Purpose.TREAT,), scopes=None, medical=False, token="",
    expires=Micros(2**62),
)  # fmt: skip
"""The command line itself: it holds the keyring, so it needs no token; the ledger names it."""


@dataclass(frozen=True, slots=True)
class Fault:
    file: str
    line: int
    code: str
    expression: str
    diagnostics: str

    def __str__(self) -> str:
        return "\t".join([self.file, str(self.line), self.code, self.expression, self.diagnostics])


@dataclass(slots=True)
class Tally:
    stored: int = 0
    unchanged: int = 0
    faults: list[Fault] = field(default_factory=list)
    not_kept: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Line:
    file: str
    number: int
    body: bytes


class Intake:
    """One run over one directory. `journal` is where finished batches are noted."""

    def __init__(self, access: Access, directory: Path, journal: Path) -> None:
        self._access = access
        self._directory = directory
        self._files = sorted(_files(directory), key=_rank)
        journal.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16]
        self._journal = journal / f"{name}.json"
        self._done: dict[str, Any] = (
            json.loads(self._journal.read_text()) if self._journal.exists() else {}
        )
        self._later: list[Line] = []
        self.tally = Tally()

    def count(self) -> int:
        return sum(1 for path in self._files for _ in _lines(path, path.name))

    def work(self) -> Iterator[tuple[str, int]]:
        """Yields a file's name and how many lines were dealt with, batch by batch."""
        for path in self._files:
            name = str(path.relative_to(self._directory))
            stamp = [path.stat().st_size, path.stat().st_mtime_ns]
            lines = _lines(path, name)
            begun = self._done.get(name, {})
            skip = begun.get("lines", 0) if begun.get("stamp") == stamp else 0
            passed = len(list(islice(lines, skip)))
            self.tally.unchanged += passed
            yield name, passed
            while batch := list(islice(lines, BATCH)):
                waiting = self._store(batch, final=False)
                skip += len(batch)
                if not waiting and not self._later:
                    self._note(name, stamp, skip)
                yield name, len(batch)
        later, self._later = self._later, []
        for start in range(0, len(later), BATCH):
            self._store(later[start : start + BATCH], final=True)

    def _store(self, batch: list[Line], *, final: bool) -> bool:
        """One commit. True if a line has to wait for a record that is not here yet."""
        resources = [(line, resource) for line in batch if (resource := self._read(line))]
        waiting = False
        if not resources:
            return waiting
        with self._access.operate(Action.IMPORT, OPERATOR) as act:
            for line, resource in resources:
                waiting |= not self._one(act, line, resource, final=final)
        return waiting

    def _one(self, act: Act, line: Line, resource: dict[str, Any], *, final: bool) -> bool:
        try:
            with act.attempt():
                written = act.update(resource)
        except Unavailable:
            raise
        except Invalid as error:
            if not final and any(
                "reference" in issue.code or "not-found" in issue.code for issue in error.issues
            ):
                self._later.append(line)
                return False
            self._refuse(line, error)
        except PeernotesError as error:
            self._refuse(line, error)
        else:
            self.tally.stored += written.changed
            self.tally.unchanged += not written.changed
        return True

    def _read(self, line: Line) -> dict[str, Any] | None:
        try:
            resource = parse(line.body)
            type_ = str(resource.get("resourceType"))
            if type_ not in STORED_TYPES:
                self.tally.not_kept[type_ if type_.isalpha() else "unknown"] += 1
                return None
        except PeernotesError as error:
            self._refuse(line, error)
            return None
        return resource

    def _refuse(self, line: Line, error: PeernotesError) -> None:
        self.tally.faults += [
            Fault(line.file, line.number, issue.code, issue.expression or "", issue.diagnostics)
            for issue in error.issues
        ]

    def _note(self, name: str, stamp: list[int], lines: int) -> None:
        """Durable only after the batch was: a lost note costs time, never a record."""
        self._done[name] = {"stamp": stamp, "lines": lines}
        scratch = self._journal.with_suffix(".new")
        scratch.write_text(json.dumps(self._done))
        scratch.replace(self._journal)


def _files(directory: Path) -> Iterator[Path]:
    for path in directory.rglob("*"):
        if path.name.endswith((".ndjson", ".ndjson.gz", ".json")) and path.is_file():
            yield path


def _rank(path: Path) -> tuple[int, str]:
    type_ = path.name.split(".")[0]
    return (ORDER.index(type_) if type_ in ORDER else len(ORDER), str(path))


def _lines(path: Path, name: str) -> Iterator[Line]:
    if path.suffix == ".json":
        yield from _bundle(path, name)
        return
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, body in enumerate(file, start=1):
            if body.strip():
                yield Line(name, number, body)


def _bundle(path: Path, name: str) -> Iterator[Line]:
    """The entries of a Bundle, `urn:uuid:` references made literal; numbered from 1."""
    try:
        bundle = parse(path.read_bytes(), limit=512 * 1024 * 1024)
    except PeernotesError:
        yield Line(name, 1, b"not a bundle")
        return
    entries = [entry for entry in bundle.get("entry", []) if "resource" in entry]
    names = {
        entry["fullUrl"]: f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        for entry in entries
        if str(entry.get("fullUrl", "")).startswith("urn:uuid:") and "id" in entry["resource"]
    }
    ranked = sorted(
        enumerate(entries, start=1),
        key=lambda pair: (
            ORDER.index(type_)
            if (type_ := pair[1]["resource"].get("resourceType")) in ORDER
            else len(ORDER)
        ),
    )
    for number, entry in ranked:
        body = encode(entry["resource"])
        for urn, literal in names.items():
            if urn.encode() in body:
                body = body.replace(f'"{urn}"'.encode(), f'"{literal}"'.encode())
        yield Line(name, number, body)
