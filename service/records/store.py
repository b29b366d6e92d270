"""One act's hands on the sealed store: read, versions, create, update, delete.

Every read is one statement through `visible()`; bodies are opened, never parsed. Every write
validates, resolves its references as its writer sees them, seals, and is one statement on
PostgreSQL. Lost updates cannot happen: a version is replaced only by number (`rows.replace`).

An act is one transaction and has one Records, which numbers its writes (records/changes.py).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert
from sqlalchemy import Row as Found

from service.errors import Absent, Conflict, Forbidden, Gone, Malformed, StaleVersion
from service.keys.keyring import Keyring
from service.records import edges, found, rows
from service.records import rules as consent
from service.records.anchor import checked_id, stored_type
from service.records.document import stamp
from service.records.draft import Draft, as_target, draft, index, kept, labels_of
from service.records.labels import Labels
from service.records.rows import Row
from service.records.stored import Access, Stored, Written
from service.records.tables import care_edge
from service.records.targets import References, mixed
from service.records.values import Interval
from service.records.view import Caseload, Everyone, View
from service.records.visible import parameters, shape
from service.vocabulary import EntryId, Micros, ResourceId, is_id

INTAKE = 86_400_000_000
"""For a day, whoever takes a participant in sees them without a CareTeam: time to write one."""
NAMED_VERSION = frozenset({"Consent", "CareTeam", "DocumentReference"})
"""What nobody may overwrite without saying which version they read."""
LATEST = 2**31 - 1
Rules = Sequence[Mapping[str, object]]
Json = dict[str, Any]


class Records:
    """See the module. `touched` is what the act's entries will name."""

    def __init__(
        self, connection: Connection, keyring: Keyring, view: View, at: Micros, zone: tzinfo
    ) -> None:
        self.touched: list[Access] = []
        self._connection = connection
        self._keyring = keyring
        self._view = view
        self._at = at
        self._zone = zone
        self._references = References(connection, view)
        self._writes = 0

    def read(self, type: str, id: str) -> Stored:
        """As it stands; Absent if hidden or not there, Gone if deleted and once visible."""
        row = self._current(type, id)
        if row is None:
            raise _absent()
        if row.deleted:
            raise Gone("This record has been deleted.")
        return self._opened(type, id, row)

    def vread(self, type: str, id: str, version: int) -> Stored:
        """One version, if its labels and today's allow it."""
        some = self._versions(type, id, of_version=version) if version <= LATEST else ()
        if not some:
            raise _absent()
        if some[0].deleted:
            raise Gone("This version is a deletion.")
        return self._opened(type, id, some[0])

    def history(
        self, type: str, id: str, count: int, before: int = LATEST
    ) -> list[Stored]:  # fmt: skip
        """Versions below `before`, newest first, at most `count`; a deletion has no body."""
        some = self._versions(type, id, before=before, most=count)
        if not some and self._current(type, id) is None:
            raise _absent()
        return [self._opened(type, id, row) for row in some]

    def create(
        self, resource: Json, *, entry: EntryId, labels: Labels | None = None,
        id: str | None = None, rules: Rules | None = None,
    ) -> Written:  # fmt: skip
        """A new record, under a client's own UUID or ours. A replay answers as the first did."""
        type_ = self._writable(stored_type(resource))
        chosen = ResourceId(checked_id(id) if id is not None else str(uuid4()))
        one = self._draft(resource, type_, chosen, labels, self._view.author)
        return self._create(one, "POST", entry, rules)

    def update(
        self, resource: Json, *, entry: EntryId, if_match: int | None = None,
        labels: Labels | None = None, rules: Rules | None = None,
    ) -> Written:  # fmt: skip
        """The next version, or the first under the client's UUID. Same bytes change nothing."""
        type_ = self._writable(stored_type(resource))
        id_ = ResourceId(checked_id(resource.get("id")))
        before = self._current(type_, id_)
        if before is None:
            if if_match is not None:
                raise _stale()
            one = self._draft(resource, type_, id_, labels, self._view.author)
            try:
                return self._create(one, "PUT", entry, rules)
            except Conflict:  # there is one, and this caller does not see it
                raise _absent() from None
        body = self._open(type_, id_, before)
        if body == stamp(resource, id_, before.version, before.updated):
            if if_match not in (None, before.version, before.version - 1):
                raise _stale()
            return Written(self._opened(type_, id_, before), created=False, changed=False)
        _demand_version(type_, before, if_match)
        one = self._draft(resource, type_, id_, labels, before.author)
        if one.patient != before.patient:
            raise mixed(type_)
        one = replace(one, labels=kept(one.labels, before, body))
        searched = index(one, self._keyring.blind, self._zone)
        body = stamp(resource, id_, before.version + 1, self._at)
        row = self._row(one, before.version + 1, "PUT", entry, body=body, main=searched.main)
        if not rows.replace(self._connection, row, searched, self._ordinal()):
            raise _overtaken(if_match)
        return Written(self._wrote(row, one, body, rules), created=False, changed=True)

    def delete(
        self, type: str, id: str, *, entry: EntryId, if_match: int | None = None
    ) -> Written:  # fmt: skip
        """A tombstone; every version stays. Deleting again changes nothing."""
        before = self._current(self._writable(type), id)
        if before is None:
            raise _absent()
        if before.deleted:
            return Written(self._opened(type, id, before), created=False, changed=False)
        if if_match not in (None, before.version):
            raise _stale()
        one = Draft({}, type, ResourceId(id), before.patient, labels_of(before), before.author, ())
        main = Interval(before.lo, before.hi)
        row = self._row(one, before.version + 1, "DELETE", entry, body=b"", main=main)
        if not rows.bury(self._connection, row, self._ordinal()):
            raise _overtaken(if_match)
        return Written(self._wrote(row, one, b"", ()), created=False, changed=True)

    def _current(self, type_: str, id_: str) -> Found[Any] | None:
        if type_ not in self._view.ceilings or not is_id(id_):
            return None
        values = parameters(self._view, type_) | {"of_type": type_, "of_id": id_}
        return self._connection.execute(found.current(shape(self._view, type_)), values).first()

    def _versions(self, type_: str, id_: str, **values: object) -> Sequence[Found[Any]]:
        if type_ not in self._view.ceilings or not is_id(id_):
            return ()
        statement = found.versions(shape(self._view, type_), one="of_version" in values)
        values |= parameters(self._view, type_) | {"of_type": type_, "of_id": id_}
        return self._connection.execute(statement, values).all()

    def _open(self, type_: str, id_: str, row: Found[Any]) -> bytes:
        return self._keyring.open(
            self._connection, patient=row.patient, type=type_, id=id_,
            version=row.version, sealed=row.body,
        )  # fmt: skip

    def _opened(self, type_: str, id_: str, row: Found[Any]) -> Stored:
        body = self._open(type_, id_, row)
        self.touched.append(Access(row.patient, type_, id_, row.version))
        return Stored(type_, id_, row.version, row.updated, row.patient, body, row.deleted)

    def _writable(self, type_: str) -> str:
        if type_ not in self._view.writes:
            raise Forbidden("This caller does not write this type.")
        return type_

    def _draft(
        self, resource: Json, type_: str, id_: ResourceId, labels: Labels | None, author: str | None
    ) -> Draft:
        return draft(
            resource, type_, id_, labels=labels, author=author, references=self._references
        )

    def _create(self, one: Draft, method: str, entry: EntryId, compiled: Rules | None) -> Written:
        reach = self._view.reach
        if one.type == "Patient" and not isinstance(reach, Everyone | Caseload):
            raise Forbidden("Only staff and the house's own import take participants in.")
        searched = index(one, self._keyring.blind, self._zone)
        body = stamp(one.resource, one.id, 1, self._at)
        row = self._row(one, 1, method, entry, body=body, main=searched.main)
        if not rows.create(self._connection, row, searched, self._ordinal()):
            return self._replayed(one)
        if one.type == "Patient" and isinstance(reach, Caseload):
            self._connection.execute(insert(care_edge), {
                "patient": one.patient, "practitioner": reach.practitioner, "source": one.id,
                "lo": self._at, "hi": self._at + INTAKE,
            })  # fmt: skip
        return Written(self._wrote(row, one, body, compiled), created=True, changed=True)

    def _replayed(self, one: Draft) -> Written:
        first = next(iter(self._versions(one.type, one.id, of_version=1)), None)
        if first is None or self._open(one.type, one.id, first) != stamp(
            one.resource, one.id, 1, first.updated
        ):
            raise Conflict("This id is taken by another record; choose another UUID.")
        return Written(self._opened(one.type, one.id, first), created=True, changed=False)

    def _row(
        self, one: Draft, version: int, method: str, entry: EntryId, *, body: bytes, main: Interval
    ) -> Row:  # fmt: skip
        sealed = self._keyring.seal(
            self._connection, patient=one.patient, type=one.type, id=one.id, version=version,
            body=body,
        )  # fmt: skip
        return Row(
            patient=one.patient, type=one.type, id=one.id, version=version,
            lo=main.lo, hi=main.hi, updated=self._at, conf=int(one.labels.conf),
            families=int(one.labels.families), audience=one.labels.audience.value,
            author=one.author, deleted=method == "DELETE", method=method, entry=entry, body=sealed,
        )  # fmt: skip

    def _ordinal(self) -> int:
        self._writes += 1
        return self._writes - 1

    def _wrote(self, row: Row, one: Draft, body: bytes, compiled: Rules | None) -> Stored:
        """What follows from a write, in the same commit: edges, rules, and the act's memory."""
        digest = hashlib.sha256(row.body).digest()
        self.touched.append(Access(one.patient, one.type, one.id, row.version, digest))
        if one.type == "CareTeam":
            edges.replace(
                self._connection, one.patient, one.id, edges.members(one.resource, self._zone)
            )
        elif one.type == "Consent":
            if compiled is None:
                raise ValueError("A Consent is stored with its rules, or not at all.")
            consent.replace(self._connection, one.patient, one.id, compiled)
        if row.deleted or one.type in ("CareTeam", "Consent"):
            self._references.forget()
        else:
            self._references.learn(one.type, one.id, as_target(one))
        return Stored(one.type, one.id, row.version, self._at, one.patient, body, row.deleted)


def _demand_version(type_: str, before: Found[Any], if_match: int | None) -> None:
    if if_match is None:
        if type_ in NAMED_VERSION and not before.deleted:
            raise Malformed("Say with If-Match which version of this record you have read.")
    elif if_match != before.version:
        raise _stale()


def _overtaken(if_match: int | None) -> Conflict | StaleVersion:
    return Conflict("Somebody else wrote at once; read again.") if if_match is None else _stale()


def _stale() -> StaleVersion:
    return StaleVersion("The record has changed since that version; read it again.")


def _absent() -> Absent:
    return Absent("There is no such record.")
