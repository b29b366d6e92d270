"""The ledger as one caller may read it: compliance all of it, a participant what is about them.

Doors search entries through this alone, so "who looked at my record" can never show another's.
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from service.audit import search
from service.audit.entry import Entry
from service.audit.search import Criteria, Found
from service.errors import Forbidden
from service.records.view import Everyone, OwnRecord, Reach
from service.vocabulary import EntryId, Micros, PatientId


@dataclass(frozen=True, slots=True)
class Log:
    """Made by the act; `own` is the one participant whose entries show, None for all."""

    connection: Connection
    own: PatientId | None

    @classmethod
    def of(cls, connection: Connection, reach: Reach) -> "Log":
        match reach:
            case Everyone():
                return cls(connection, None)
            case OwnRecord(patient):
                return cls(connection, patient)
            case _:
                raise Forbidden("This role does not read the log.")

    def find(self, criteria: Criteria) -> list[Found]:
        """Newest first; Forbidden when it is about another's record, whether or not they exist."""
        return search.find(self.connection, replace(criteria, patient=self.about(criteria.patient)))

    def by_id(self, entry: EntryId) -> Found | None:
        found = search.by_id(self.connection, entry)
        if found is None or self.own not in (None, found.entry.patient):
            return None
        return found

    def disclosures(self, patient: PatientId, since: Micros, until: Micros) -> list[Entry]:
        self.about(patient)
        return search.disclosures(self.connection, patient, since, until)

    def about(self, patient: PatientId | None) -> PatientId | None:
        """Whose entries are meant: for a participant their own, whether they say so or not."""
        if self.own is None:
            return patient
        if patient not in (None, self.own):
            raise Forbidden("A participant reads the log of their own record alone.")
        return self.own
