"""Free text of an act: committed to in the leaf, kept sealed beside the ledger, and removable.

A break-glass reason, a raw query or an address may name people, so the leaf holds a salted digest
only. Redacting deletes the row; the leaf, the tree and every proof stay as they were.
"""

import os
from hashlib import sha256
from hmac import compare_digest

from sqlalchemy import Connection, bindparam, delete, insert, select

from service.audit.entry import Commitment
from service.audit.tables import ledger_text
from service.errors import Tampered
from service.keys.envelope import lp
from service.vocabulary import EntryId, PatientId

CONTEXT = "peernotes/text/v1"
SALT_BYTES = 16

_HELD = select(ledger_text.c.sealed).where(
    ledger_text.c.entry == bindparam("entry"), ledger_text.c.field == bindparam("field")
)


def commit(field: str, value: str) -> tuple[Commitment, bytes]:
    """What the leaf says of a text, and the bytes (salt, text) to seal under its owner's key."""
    plain = os.urandom(SALT_BYTES) + value.encode()
    return Commitment(field, _digest(field, plain)), plain


def opened(commitment: Commitment, plain: bytes) -> str:
    """The text that was committed to; Tampered if these bytes are not it."""
    if not compare_digest(_digest(commitment.field, plain), commitment.digest):
        raise Tampered("A text beside the ledger is not the one that was committed to.")
    return plain[SALT_BYTES:].decode()


def keep(
    connection: Connection, entry: EntryId, field: str, owner: PatientId, sealed: bytes
) -> None:
    """Store a sealed text in the transaction that appends its entry."""
    row = {"entry": entry, "field": field, "owner": owner, "sealed": sealed}
    connection.execute(insert(ledger_text), row)


def held(connection: Connection, entry: EntryId, field: str) -> bytes | None:
    """The sealed text; None when there was none, or it was removed."""
    place = {"entry": entry, "field": field}
    return connection.execute(_HELD, place).scalar_one_or_none()


def redact(connection: Connection, entry: EntryId, field: str) -> bool:
    """Remove a text; the gate appends the entry that says so in the same transaction."""
    row = delete(ledger_text).where(ledger_text.c.entry == entry, ledger_text.c.field == field)
    return connection.execute(row).rowcount == 1


def _digest(field: str, plain: bytes) -> bytes:
    return sha256(lp(CONTEXT, plain[:SALT_BYTES], field, plain[SALT_BYTES:])).digest()
