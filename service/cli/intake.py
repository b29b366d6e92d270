"""Stores an export in batches, each one commit with its ledger entries; goes on where it stopped.

A batch of new records is stored as one attempt, which is quickest. If that fails, for a faulty
line or because some are here already, its lines are stored one by one, and a faulty line is
refused alone. A line whose reference does not resolve yet waits for the others and is tried again
as long as that helps, so references to later lines and files load as well.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from service.access.act import Act
from service.access.caller import Caller
from service.access.enforce import Access
from service.cli.journal import Journal
from service.cli.names import Conditional
from service.cli.sources import Line, Unreadable, files, lines
from service.errors import Conflict, Invalid, Issue, PeernotesError, Unavailable
from service.records.changes import horizon
from service.records.document import parse
from service.vocabulary import (
    STORED_TYPES,
    Action,
    Micros,
    Purpose,
    Relation,
    ResourceId,
    Role,
)

BATCH = 200
OPERATOR = Caller(
    principal="00000000-0000-4000-8000-000000000001", client="peernotes-import", role=Role.EHR,
    relation=Relation.INSIDE, organisation=None, practitioner=None, patient=None,
    purposes=(Purpose.TREAT,), scopes=None, medical=False, token="",
    expires=Micros(2**62),
)  # fmt: skip
"""The command line itself: it holds the keyring, so it needs no token; the ledger names it."""
NOT_OURS = Issue(
    "conflict", "The record here differs: change a Consent, CareTeam or DocumentReference through"
    " /fhir with If-Match; an import does not.",
)  # fmt: skip
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a line was refused; never what it holds."""

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
    refused: int = 0
    faults: list[Fault] = field(default_factory=list)
    not_kept: Counter[str] = field(default_factory=Counter)


class Intake:
    """One run over one directory; `notes` is the folder where finished batches are noted."""

    def __init__(
        self, access: Access, directory: Path, notes: Path, *, again: bool = False
    ) -> None:
        self._access = access
        self._directory = directory
        self._files = {str(path.relative_to(directory)): path for path in files(directory)}
        name = hashlib.sha256(f"{access.observer} {directory.resolve()}".encode()).hexdigest()[:16]
        with access.published() as connection:
            self._journal = Journal(notes / f"{name}.json", horizon(connection), again=again)
        self._conditional = Conditional()
        self._later: list[Line] = []
        self._new = True
        self.tally = Tally()

    def count(self) -> int:
        return sum(_length(path, name) for name, path in self._files.items())

    def work(self) -> Iterator[tuple[str, int]]:
        """Yields a file's name and how many lines were dealt with, batch by batch."""
        for name, path in self._files.items():
            try:
                yield from self._file(name, path)
            except Unreadable as error:
                self.tally.refused += 1
                self.tally.faults.append(Fault(name, 0, "incomplete", "", str(error)))
        while waiting := self._later:
            self._later = []
            for start in range(0, len(waiting), BATCH):
                self._store(waiting[start : start + BATCH])
            if len(self._later) == len(waiting):
                break
        for start in range(0, len(waiting), BATCH):
            self._store(waiting[start : start + BATCH], final=True)

    def _file(self, name: str, path: Path) -> Iterator[tuple[str, int]]:
        seen = self._journal.open(name, path)
        self.tally.not_kept += seen.not_kept
        passed = seen.lines - len(seen.again)
        self.tally.unchanged += passed - seen.not_kept.total()
        yield name, passed
        waiting = (line for line in lines(path, name) if seen.deals_with(line.place))
        while batch := list(islice(waiting, BATCH)):
            self._store(batch)
            yield name, len(batch)

    def _store(self, batch: list[Line], *, final: bool = False) -> None:
        """One commit, then one note."""
        resources = [(line, resource) for line in batch if (resource := self._read(line))]
        if not resources:
            with self._access.published() as connection:
                self._journal.save(batch, horizon(connection))
            return
        with self._access.operate(Action.IMPORT, OPERATOR) as act:
            if not (self._new and self._together(act, resources)):
                alone = [self._alone(act, line, one, final=final) for line, one in resources]
                self._new = all(alone)
            reached = horizon(act.connection)
        self._journal.save(batch, reached)

    def _together(self, act: Act, resources: list[tuple[Line, Json]]) -> bool:
        """All of them, each for the first time, or none."""
        try:
            with act.attempt():
                for line, resource in resources:
                    literal = self._conditional.followed(act, line.body, resource)
                    id_ = ResourceId(str(resource.get("id")))
                    if not act.create(literal, id=id_).changed:
                        raise Conflict("Not new.")
        except Unavailable:
            raise
        except PeernotesError:
            return False
        self.tally.stored += len(resources)
        for line, _ in resources:
            self._journal.settle(line)
        return True

    def _alone(self, act: Act, line: Line, resource: Json, *, final: bool) -> bool:
        """Whether it was stored, for the first time."""
        try:
            with act.attempt():
                written = act.update(self._conditional.followed(act, line.body, resource))
        except Unavailable:
            raise
        except PeernotesError as error:
            if not final and _waits(error):
                self._later.append(line)
                self._journal.keep(line)
            else:
                self._refuse(line, error)
            return False
        self.tally.stored += written.changed
        self.tally.unchanged += not written.changed
        self._journal.settle(line)
        return written.created

    def _read(self, line: Line) -> Json | None:
        try:
            resource = parse(line.body)
            type_ = resource.get("resourceType")
        except PeernotesError as error:
            self._refuse(line, error)
            return None
        if type_ in STORED_TYPES:
            return resource
        named = type_ if isinstance(type_, str) and type_.isalpha() else "unknown"
        self.tally.not_kept[named] += 1
        self._journal.pass_over(line, named)
        return None

    def _refuse(self, line: Line, error: PeernotesError) -> None:
        self._journal.keep(line)
        self.tally.refused += 1
        issues = [NOT_OURS if "If-Match" in one.diagnostics else one for one in error.issues]
        self.tally.faults += [
            Fault(line.file, line.number, issue.code, issue.expression or "", issue.diagnostics)
            for issue in dict.fromkeys(issues)
        ]


def _waits(error: PeernotesError) -> bool:
    """What it names may come later in the export."""
    return isinstance(error, Invalid) and any(each.code == "not-found" for each in error.issues)


def _length(path: Path, name: str) -> int:
    """For the progress bar; a file that breaks off counts as far as it can be read."""
    count = 0
    try:
        for _ in lines(path, name):
            count += 1
    except Unreadable:
        pass
    return count
