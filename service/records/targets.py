"""Resolves what a resource refers to, as its writer sees it: hidden, deleted, absent are alike."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, NestedTransaction

from service.errors import Invalid, Issue
from service.records import found
from service.records.anchor import Link, unresolved
from service.records.labels import Labels
from service.records.view import View
from service.records.visible import parameters, shape
from service.vocabulary import HOUSE, Audience, Confidentiality, Family, PatientId


class Target(NamedTuple):
    """A record that a reference names, and whose it is."""

    patient: PatientId
    labels: Labels
    author: str | None


class References:
    """One act's view of the records it refers to; each is looked up once."""

    def __init__(self, connection: Connection, view: View) -> None:
        self._connection = connection
        self._view = view
        self._known: dict[tuple[str, str], Target] = {}
        self._savepoint: NestedTransaction | None = None

    def resolve(self, links: Iterable[Link]) -> None:
        """One statement for all that is not yet known; Invalid names every one that is not seen."""
        self._stay_within()
        links = list(links)
        missing = {link[:2] for link in links} - self._known.keys()
        if missing:
            self._look_up(missing)
        faults = [
            issue for link in links if link[:2] not in self._known
            for issue in unresolved(link.expression).issues
        ]  # fmt: skip
        if faults:
            raise Invalid("A reference does not resolve.", *faults)

    def __getitem__(self, link: Link) -> Target:
        return self._known[link[:2]]

    def learn(self, type: str, id: str, target: Target) -> None:
        """What this act has just written, its writer may refer to."""
        self._stay_within()
        self._known[type, id] = target

    def forget(self) -> None:
        """After a write that moves what is visible."""
        self._known.clear()

    def _stay_within(self) -> None:
        """What was learnt before or within a savepoint may be undone with it: look again."""
        here = self._connection.get_nested_transaction()
        if here is not self._savepoint:
            self._savepoint = here
            self._known.clear()

    def _look_up(self, missing: Iterable[tuple[str, str]]) -> None:
        values = parameters(self._view)
        values["types"] = sorted({type_ for type_, _ in missing})
        values["ids"] = sorted({id_ for _, id_ in missing})
        for row in self._connection.execute(found.named(shape(self._view)), values):
            labels = Labels(Confidentiality(row.conf), Family(row.families), Audience(row.audience))
            self._known[row.type, row.id] = Target(row.patient, labels, row.author)


def owner(targets: Iterable[tuple[Link, Target]]) -> PatientId:
    """The one participant that all of these belong to."""
    (first, target), *others = targets
    for link, other in others:
        if other.patient != target.patient:
            raise mixed(link.expression)
    if target.patient == HOUSE and first.expression != "Provenance.target":
        raise mixed(first.expression)
    return target.patient


def mixed(expression: str) -> Invalid:
    return Invalid("A record concerns one participant.", Issue(
        "business-rule", "Refer to records of one and the same participant.", expression,
    ))  # fmt: skip
