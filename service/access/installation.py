"""How this database was set up: demo or production, and the ledger's origin."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from service.access.tables import installation
from service.vocabulary import Micros


@dataclass(frozen=True, slots=True)
class Installation:
    mode: str
    origin: str
    since: Micros


def found(connection: Connection) -> Installation | None:
    row = connection.execute(select(installation)).one_or_none()
    return Installation(row.mode, row.origin, row.since) if row else None


def remember(connection: Connection, new: Installation) -> None:
    connection.execute(
        insert(installation).values(one=1, mode=new.mode, origin=new.origin, since=new.since)
    )
