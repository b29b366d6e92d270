"""One log: which it is, the key that authenticates its leaves, and how it begins empty."""

import hashlib
import hmac
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, insert

from service.audit.tables import ledger_log
from service.errors import Malformed
from service.vocabulary import Micros


@dataclass(frozen=True, slots=True)
class Ledger:
    """Which log, and the key that every leaf is authenticated with before it is in the tree."""

    log: int
    ingest_key: bytes

    def mac(self, leaf: bytes) -> bytes:
        return hmac.digest(self.ingest_key, leaf, "sha256")


def initialise(connection: Connection, origin: str, at: Micros, *, log: int = 1) -> None:
    """Make an empty log. Its origin, <host>/<tenant>/<generation>, is what the notary signs for."""
    try:
        _host, tenant, generation = origin.split("/")
        tenant = str(UUID(tenant))
        int(generation)
    except ValueError as error:
        raise Malformed("A ledger's origin is <host>/<tenant id>/<generation>.") from error
    connection.execute(
        insert(ledger_log).values(
            log=log, tenant=tenant, origin=origin, opened=at, size=0,
            root=hashlib.sha256().digest(), frontier=b"", min_index=0, state="open",
        )
    )  # fmt: skip
