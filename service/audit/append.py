"""The two ways into the ledger; only access/enforce.py may take them.

Lane W, `append`: the entry of a write joins the caller's transaction, so that work and record
commit together or not at all. Lane R, `GroupCommit`: entries of reads, refusals and sign-ins are
gathered by one thread per process and made durable together; `submit` returns when they are.

What a commit whose outcome is unknown leaves is said by the streams: an entry of lane R carries
(stream, n, hash of the leaf before it); a stream that failed is never continued, the next one
opens by naming it, its last acknowledged and its highest tried n (audit reference, section 2).
"""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, insert

from service.audit.entry import Entry
from service.audit.groupcommit import GroupCommit
from service.audit.ingest import Ledger, row, write
from service.audit.tables import ledger_log
from service.errors import Malformed
from service.vocabulary import Micros

__all__ = ["GroupCommit", "Ledger", "append", "initialise"]


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


def append(connection: Connection, ledger: Ledger, entries: Sequence[Entry]) -> list[bytes]:
    """Lane W. Returns the leaf hashes: `acknowledge` them once the transaction has committed."""
    if not entries:
        return []
    rows = [row(ledger, entry) for entry in entries]
    write(connection, ledger, rows, queue=True)
    return [r.leaf_hash for r in rows]
