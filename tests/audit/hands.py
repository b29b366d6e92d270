"""All parts of a ledger over one database, worked by hand; and an administrator's hands on it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from service.audit.append import GroupCommit, append
from service.audit.checkpoint import Checkpoint
from service.audit.entry import Entry
from service.audit.ingest import Ledger
from service.audit.notary import Notary
from service.audit.sequencer import sequence
from service.database.transactions import Transactions
from service.vocabulary import Micros, PatientId

ORIGIN = "log.example/11111111-1111-4111-8111-111111111111/1"
PATIENT = PatientId("22222222-2222-4222-8222-222222222222")
STAFF = "33333333-3333-4333-8333-333333333333"

Make = Callable[..., Entry]


@dataclass
class Log:
    """All parts of the ledger over one database, worked by hand."""

    opener: Transactions
    ledger: Ledger
    clock: Callable[[], Micros]
    directory: Path
    notary: Notary

    def write(self, *entries: Entry) -> list[bytes]:
        with self.opener.write() as connection:
            return append(connection, self.ledger, entries)

    def sequence(self) -> int:
        return sequence(self.opener, self.ledger, self.clock())

    def sign(self) -> Checkpoint | None:
        self.sequence()
        return self.notary.step()

    def group(self) -> GroupCommit:
        return GroupCommit(self.opener, self.ledger, self.clock)

    def sql(self, statement: str, **values: object) -> list[Any]:
        """What a database administrator may do; triggers are switched off for it."""
        with self.opener.write() as connection:
            freely(connection)
            result = connection.execute(text(statement), values)
            return list(result) if result.returns_rows else []

    def one(self, statement: str, **values: object) -> Any:
        return self.sql(statement, **values)[0][0]

    @property
    def sqlite(self) -> bool:
        with self.opener.read() as connection:
            return connection.dialect.name == "sqlite"


def freely(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ALTER TABLE ledger_entry DISABLE TRIGGER ALL")
    else:
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS ledger_entry_update")
        connection.exec_driver_sql("DROP TRIGGER IF EXISTS ledger_entry_delete")
