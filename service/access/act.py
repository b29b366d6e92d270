"""One permitted act: what a door may do between the gate's decision and the gate's commit.

Reads go through `records`, which selects through visible() alone. Writes go through the act, so
that what a Consent says takes effect in the same transaction that stores it (design D4).
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from service.access.caller import Caller
from service.access.policy import Permit
from service.audit.entry import Entry, Kind, Outcome, Touched
from service.consent.compile import compile_rules
from service.database.ids import uuid7
from service.keys.keyring import Keyring
from service.notes.states import demand_text_unchanged
from service.records import rules
from service.records.document import parse
from service.records.labels import effective
from service.records.store import Records, Written
from service.vocabulary import HOUSE, Action, EntryId, Micros, PatientId, Relation, ResourceId

MOST_TOUCHED = 400
"""Records named in one entry; a leaf stays under 64 KiB, more become further entries."""


@dataclass(slots=True)
class Act:
    """Lives inside `with access.permit(...)`; afterwards its entries are durable."""

    id: str
    action: Action
    at: Micros
    caller: Caller
    permit: Permit
    connection: Connection
    keyring: Keyring
    records: Records
    zone: ZoneInfo
    resource_type: str = ""
    about: PatientId | None = None
    sources: dict[PatientId, tuple[ResourceId, ...]] = field(default_factory=dict)
    said: list[Entry] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    _entries: dict[PatientId, EntryId] = field(default_factory=dict)

    def create(self, resource: dict[str, Any], *, id: ResourceId | None = None) -> Written:
        """Store a new resource; a replay with the same id and bytes answers as the first did."""
        written = self.records.create(
            resource, labels=effective(resource), entry=self._entry, id=id
        )
        self._take_effect(resource, written)
        return written

    def update(self, resource: dict[str, Any], *, if_match: int | None = None) -> Written:
        """Store the next version, or the first under the caller's own UUID.

        What was signed in a note stays as it is, from whichever door the update comes.
        """
        if resource["resourceType"] == "DocumentReference":
            before = self.records.peek("DocumentReference", resource["id"])
            if before is not None:
                demand_text_unchanged(parse(before.body), resource)
        written = self.records.update(
            resource, labels=effective(resource), entry=self._entry, if_match=if_match
        )
        self._take_effect(resource, written)
        return written

    def delete(self, type: str, id: ResourceId, *, if_match: int | None = None) -> Written:
        return self.records.delete(type, id, entry=self._entry, if_match=if_match)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Part of an act that may fail alone: its rows and its part of the entry are undone."""
        met = len(self.records.touched)
        try:
            with self.connection.begin_nested():
                yield
        except BaseException:
            del self.records.touched[met:]
            raise

    def _entry(self, patient: PatientId) -> EntryId:
        """The entry a version row will point at: known before it is written, one per patient."""
        if patient not in self._entries:
            self._entries[patient] = EntryId(uuid7(self.at))
        return self._entries[patient]

    def _take_effect(self, resource: dict[str, Any], written: Written) -> None:
        if resource["resourceType"] == "Consent" and written.changed:
            compiled = compile_rules(resource, received=self.at, zone=self.zone)
            rules.replace(
                self.connection,
                patient=written.stored.patient,
                consent=written.stored.id,
                rows=[asdict(rule) for rule in compiled],
            )

    def explain(self) -> None:
        """For a disclosure by consent: note which consents opened it, for notice and ledger."""
        if self.permit.basis != "consent":
            return
        for patient in {access.patient for access in self.records.touched} - {HOUSE}:
            self.sources[patient] = rules.opened_by(self.connection, self.records.view, patient)

    def entries(self) -> list[Entry]:
        """What the ledger will say: one entry a participant, in chunks; one if nothing was met."""
        touched: dict[PatientId, list[Touched]] = defaultdict(list)
        for access in self.records.touched:
            touched[access.patient].append(access.touched)
        if not touched:
            return [self._said(self.about, (), EntryId(uuid7(self.at)))]
        said = []
        for patient, records in touched.items():
            for start in range(0, len(records), MOST_TOUCHED):
                known = self._entries.get(patient) if start == 0 else None
                said.append(
                    self._said(
                        None if patient == HOUSE else patient,
                        tuple(records[start : start + MOST_TOUCHED]),
                        known or EntryId(uuid7(self.at)),
                    )
                )
        return said

    def _said(
        self, patient: PatientId | None, touched: tuple[Touched, ...], entry: EntryId
    ) -> Entry:
        caller = self.caller
        outside = caller.relation is Relation.OUTSIDE
        return Entry(
            id=entry,
            at=self.at,
            kind=Kind.DISCLOSURE if outside and patient and touched else Kind.USE,
            action=self.action,
            outcome=Outcome.SUCCESS,
            act=self.id,
            agent=caller.principal,
            client=caller.client,
            role=caller.role,
            organisation=caller.organisation or "",
            purpose=self.permit.purpose,
            patient=patient,
            touched=touched,
            basis=self._basis(patient),
            reason="",
            resource_type=self.resource_type,
        )

    def _basis(self, patient: PatientId | None) -> str:
        consents = self.sources.get(patient, ()) if patient else ()
        return f"consent:{','.join(consents)}" if consents else self.permit.basis
