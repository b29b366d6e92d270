"""One permitted act: what a door may do between the gate's decision and the gate's commit.

Reads go through `records`, which selects through visible() alone. Writes go through the act, so
that what a Consent says takes effect in the same transaction that stores it (design D4).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from service.access.caller import Caller
from service.access.log import Log
from service.access.permit import Basis, Permit
from service.access.submission import demand_changeable, demand_own_words
from service.access.viewing import rule_of
from service.audit.entry import Entry, Kind, Outcome, Touched
from service.consent.compile import compile_rules
from service.consent.form import faults
from service.consent.notice import Holder, Obligations, obligations
from service.consent.rule import Rule
from service.database.ids import uuid7
from service.errors import Absent, Forbidden, Gone, Issue, Malformed
from service.keys.keyring import Keyring
from service.notes.states import demand_text_unchanged
from service.records import grounds, pages
from service.records.binds import named
from service.records.conditions import Reading
from service.records.directory import Directory
from service.records.document import parse
from service.records.query import Query, joins
from service.records.query import parse as parse_query
from service.records.search import Page, Searcher
from service.records.store import Records
from service.records.stored import Access, Written
from service.records.view import View
from service.vocabulary import (
    HOUSE,
    PATIENT_TYPES,
    Action,
    EntryId,
    Micros,
    PatientId,
    Purpose,
    Relation,
    ResourceId,
)

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
    view: View
    directory: Directory
    zone: ZoneInfo
    resource_type: str = ""
    about: PatientId | None = None
    grounds: dict[PatientId, tuple[tuple[ResourceId, Rule], ...]] = field(default_factory=dict)
    counted: set[PatientId] = field(default_factory=set)
    warnings: list[Issue] = field(default_factory=list)
    said: list[Entry] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    _own: EntryId | None = None
    _written: dict[tuple[str, str, int], EntryId] = field(default_factory=dict)

    def asked(
        self, type: str, parameters: Sequence[tuple[str, str]], *, base: str = "",
        lenient: bool = False,
    ) -> Query:  # fmt: skip
        """The search that parameters, or a page token of this caller's, ask for."""
        names = [name for name, _ in parameters]
        if "_page" in names:
            if names != ["_page"]:
                raise Malformed("A page link is followed as it is, without other parameters.")
            query = pages.resume(
                self.keyring, parameters[0][1], self._holder, zone=self.zone, at=self.at, base=base
            )
            if query.type != type:
                raise Malformed("This page link is for another resource type.")
        else:
            query = parse_query(
                type, parameters, Reading(self.zone, self.at, base), lenient=lenient
            )
        about = named(query)
        across = type in PATIENT_TYPES or joins(query, PATIENT_TYPES)
        if about is None and across and self._names_participants:
            raise Forbidden("This caller names the participant: add patient=ID.")
        if about is not None and len(about) == 1:
            self.about = PatientId(next(iter(about)))
        elif about is not None:
            self.counted |= {PatientId(each) for each in about}
        return query

    @property
    def _names_participants(self) -> bool:
        """Outside recipients and emergencies search one participant's record, never across them."""
        outside = self.caller.relation is Relation.OUTSIDE
        return self.permit.patient_required or outside or self.permit.purpose is Purpose.BTG

    def search(self, query: Query) -> Page:
        """One page through visible(); whatever it holds will be in the entry."""
        page = Searcher(
            self.connection, self.keyring, self.view, self.directory, self._holder, self.at
        ).page(query)
        self.records.touched += [
            Access(each.patient, each.type, each.id, each.version)
            for each in (*page.stored, *page.included)
        ]
        if page.total and self.about:  # a count tells something too: a disclosure, and accounted
            self.counted.add(self.about)
        return page

    @property
    def log(self) -> Log:
        """The ledger's entries, as far as this caller may read them."""
        return Log.of(self.connection, self.view.reach)

    @property
    def _holder(self) -> pages.Holder:
        caller = self.caller
        return pages.Holder(
            caller.principal, caller.client, self.permit.purpose, caller.scopes or ("role",)
        )

    def submit(self, resource: dict[str, Any], *, if_match: int | None = None) -> Written:
        """Store what arrived ready-made: new without an id, else the next version under its own."""
        demand_own_words(self.connection, self.caller, resource)
        if "id" not in resource:
            return self.create(resource)
        try:
            before = self.records.read(str(resource["resourceType"]), str(resource["id"]))
        except (Absent, Gone):
            return self.update(resource, if_match=if_match)
        demand_changeable(self.connection, self.caller, before, resource)
        return self.update(resource, if_match=if_match)

    def create(self, resource: dict[str, Any], *, id: ResourceId | None = None) -> Written:
        """Store a new resource; a replay with the same id and bytes answers as the first did."""
        entry = self._entry()
        written = self.records.create(resource, entry=entry, id=id, rules=self._rules(resource))
        return self._noted(written, entry)

    def update(self, resource: dict[str, Any], *, if_match: int | None = None) -> Written:
        """Store the next version, or the first under the caller's own UUID.

        What was signed in a note stays as it is, from whichever door the update comes.
        """
        if resource.get("resourceType") == "DocumentReference":
            self._keep_what_was_signed(resource)
        entry = self._entry()
        written = self.records.update(
            resource, entry=entry, if_match=if_match, rules=self._rules(resource)
        )
        return self._noted(written, entry)

    def delete(self, type: str, id: ResourceId, *, if_match: int | None = None) -> Written:
        entry = self._entry()
        return self._noted(self.records.delete(type, id, entry=entry, if_match=if_match), entry)

    def file_for(self, author: ResourceId) -> None:
        """From here on what is written is this author's: a supervisor lets in what they signed.

        Called before anything is read or written, for the act's hands on the store are new ones.
        """
        self.view = replace(self.view, author=author)
        self.records = Records(self.connection, self.keyring, self.view, self.at, self.zone)

    def _keep_what_was_signed(self, resource: dict[str, Any]) -> None:
        try:
            before = self.records.read("DocumentReference", str(resource.get("id")))
        except (Absent, Gone):
            return
        demand_text_unchanged(parse(before.body), resource)

    def _rules(self, resource: dict[str, Any]) -> list[dict[str, Any]] | None:
        """A Consent takes effect in the transaction that stores it (design D4)."""
        if resource.get("resourceType") != "Consent":
            return None
        compiled = compile_rules(resource, received=self.at, zone=self.zone)
        self.warnings += [
            Issue("incomplete", f"This consent permits nothing yet: 42 CFR {fault}.", "Consent")
            for fault in faults(resource, self.zone)
        ]
        return [asdict(rule) for rule in compiled]

    def _entry(self) -> EntryId:
        """The entry that a version row will point at, known before the row is written.

        One an act, for an act writes about one participant; an import writes about many, so there
        each record has its own.
        """
        if self.action is Action.IMPORT or self._own is None:
            self._own = EntryId(uuid7(self.at))
        return self._own

    def _noted(self, written: Written, entry: EntryId) -> Written:
        stored = written.stored
        if written.changed:
            self._written[stored.type, stored.id, stored.version] = entry
        return written

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

    def rest_on(self) -> None:
        """Note which consents a disclosure rests on, for the notice and for the ledger."""
        if self.permit.basis is not Basis.CONSENT:
            return
        met = {each.patient for each in self.records.touched} | self.counted
        for patient in met - {HOUSE, *self.grounds}:
            self.grounds[patient] = tuple(
                (ResourceId(row.consent), rule_of(row))
                for row in grounds.permits(self.connection, self.view, patient)
            )

    def obligations(self) -> Obligations | None:
        """What must travel with what was disclosed by consent; None if nothing was."""
        self.rest_on()
        rules = [pair for found in self.grounds.values() for pair in found]
        if not rules:
            return None
        return obligations(rules, Holder.COVERED_ENTITY, self.permit.purpose)

    def entries(self) -> list[Entry]:
        """What the ledger will say: an entry per participant met or record imported, in chunks."""
        touched: dict[tuple[EntryId | None, PatientId], list[Touched]] = defaultdict(list)
        for met in self.records.touched:
            entry = self._written.get((met.type, met.id, met.version)) if met.digest else None
            if entry is None and met.patient == self.about and self.action is not Action.IMPORT:
                entry = self._own
            touched[entry, met.patient].append(Touched(met.type, met.id, met.version, met.digest))
        said: list[Entry] = []
        unmet = self.counted - {self.about} - {whose for _, whose in touched}
        said += [self._said(patient, (), EntryId(uuid7(self.at))) for patient in sorted(unmet)]
        if not any(patient == self.about or self.about is None for _, patient in touched):
            # About somebody, though nothing of theirs was met: so much is said as well.
            said.append(self._said(self.about, (), EntryId(uuid7(self.at))))
        for (entry, patient), records in touched.items():
            about = None if patient == HOUSE else patient
            for start in range(0, len(records), MOST_TOUCHED):
                id_ = entry if entry and start == 0 else EntryId(uuid7(self.at))
                said.append(self._said(about, tuple(records[start : start + MOST_TOUCHED]), id_))
        return said

    def _said(
        self, patient: PatientId | None, touched: tuple[Touched, ...], entry: EntryId
    ) -> Entry:
        caller = self.caller
        outside = caller.relation is Relation.OUTSIDE
        return Entry(
            id=entry,
            at=self.at,
            kind=self._kind(outside=outside, met=self._met(patient, touched)),
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

    def _met(self, patient: PatientId | None, touched: tuple[Touched, ...]) -> bool:
        """Something of this participant's was told: records, or how many there are."""
        counted = patient in self.counted and bool(self.grounds.get(patient))
        return patient is not None and (bool(touched) or counted)

    def _kind(self, *, outside: bool, met: bool) -> Kind:
        if self.action is Action.BREAK_GLASS:
            return Kind.BREAK_GLASS
        return Kind.DISCLOSURE if outside and met else Kind.USE

    def _basis(self, patient: PatientId | None) -> str:
        named = sorted({consent for consent, _ in self.grounds.get(patient, ())}) if patient else []
        return f"{Basis.CONSENT}:{','.join(named)}" if named else str(self.permit.basis)
