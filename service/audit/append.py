"""The two ways into the ledger; only access/enforce.py may take them.

Lane W, `append`: the entry of a write joins the caller's transaction, so that work and record
commit together or not at all. Lane R, `GroupCommit`: entries of reads, refusals and sign-ins are
gathered by one thread per process and made durable together; `submit` returns when they are.

What a commit whose outcome is unknown leaves is said by the streams: an entry of lane R carries
(stream, n, hash of the leaf before it); a stream that failed is never continued, the next one
opens by naming it, its last acknowledged and its highest tried n (audit reference, section 2).
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from service.audit.entry import Entry
from service.audit.groupcommit import GroupCommit
from service.audit.ingest import row, write
from service.audit.log import Ledger

__all__ = ["GroupCommit", "append"]


def append(connection: Connection, ledger: Ledger, entries: Sequence[Entry]) -> list[bytes]:
    """Lane W. Returns the leaf hashes: `acknowledge` them once the transaction has committed."""
    if not entries:
        return []
    rows = [row(ledger, entry) for entry in entries]
    write(connection, ledger, rows, queue=True)
    return [r.leaf_hash for r in rows]
