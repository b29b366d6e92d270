"""What tablets have pushed: an operation is applied once, and its replay gets the first answer.

The row is written in the transaction of the operation's effects. It holds ids and outcomes; the
answer is sealed under the house key, and the operation itself only as a keyed hash.
"""

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.database.metadata import GUID
from service.errors import Conflict, SealBroken
from service.keys.keyring import Keyring
from service.records.tables import sync_operation
from service.vocabulary import HOUSE, Micros, PatientId

PURPOSE = "sync-operation"
PLACE = "sync_operation.result"
HELD = "sync_operation.held"
QUARANTINED = "quarantined"
WAITING = (
    select(sync_operation)
    .where(sync_operation.c.status == QUARANTINED)
    .order_by(sync_operation.c.received, sync_operation.c.op_id)
)
DECIDE = (
    update(sync_operation)
    .where(
        sync_operation.c.op_id == bindparam("wanted", type_=GUID),
        sync_operation.c.status == QUARANTINED,
    )
    .values(status=bindparam("decided"), result=bindparam("sealed"))
)
FIND = select(sync_operation).where(sync_operation.c.op_id == bindparam("wanted", type_=GUID))
RECORD = {
    name: dialect.insert(sync_operation).on_conflict_do_nothing().returning(sync_operation.c.op_id)
    for name, dialect in (("postgresql", postgresql), ("sqlite", sqlite))
}


@dataclass(frozen=True, slots=True)
class Done:
    """An operation as it was answered first."""

    op_id: str
    principal: str
    device: str
    number: int
    digest: bytes
    status: str
    received: Micros
    result: bytes

    def matches(self, keyring: Keyring, sha256: str, principal: str) -> bool:
        """Whether this is the same operation, by the same caller: only they get its answer."""
        same = hmac.compare_digest(self.digest, _digest(keyring, sha256))
        return same and self.principal == principal


def find(connection: Connection, keyring: Keyring, op_id: str) -> Done | None:
    row = connection.execute(FIND, {"wanted": op_id}).first()
    if row is None:
        return None
    return _done(connection, keyring, row)


def waiting(connection: Connection, keyring: Keyring) -> Iterator[Done]:
    """What waits for a supervisor's decision, oldest first; the caller stops when it has enough.

    Nothing is cut off before it is known who may see it: rows that nobody here sees would hide
    the others behind them.
    """
    for row in connection.execute(WAITING).all():
        yield _done(connection, keyring, row)


def decide(
    connection: Connection, keyring: Keyring, *, op_id: str, status: str, result: bytes
) -> None:
    """The answer from now on. Conflict if somebody else has decided."""
    sealed = keyring.seal(
        connection, patient=HOUSE, type="Operation", id=op_id, version=1, body=result, place=PLACE
    )
    values = {"wanted": op_id, "decided": status, "sealed": sealed}
    if connection.execute(DECIDE, values).rowcount != 1:
        raise Conflict("Somebody else has decided this already.")


def _done(connection: Connection, keyring: Keyring, row: Row[Any]) -> Done:
    result = keyring.open(
        connection, patient=HOUSE, type="Operation", id=row.op_id, version=1, sealed=row.result,
        place=PLACE,
    )  # fmt: skip
    return Done(
        row.op_id, row.principal, row.device, row.number, row.digest, row.status, row.received,
        result,
    )  # fmt: skip


def record(
    connection: Connection, keyring: Keyring, *, op_id: str, principal: str, device: str,
    number: int, sha256: str, status: str, received: Micros, result: bytes,
) -> None:  # fmt: skip
    """Conflict if another copy of this operation got there first; roll back, then `find` it."""
    sealed = keyring.seal(
        connection, patient=HOUSE, type="Operation", id=op_id, version=1, body=result, place=PLACE
    )
    written = connection.execute(RECORD[connection.dialect.name], {
        "op_id": op_id, "principal": principal, "device": device, "number": number,
        "digest": _digest(keyring, sha256), "status": status, "received": received,
        "result": sealed,
    })  # fmt: skip
    if written.first() is None:
        raise Conflict("This operation has been answered already.")


def hold(
    connection: Connection, keyring: Keyring, patient: PatientId, op_id: str, operation: bytes
) -> bytes:
    """A quarantined operation, sealed under its participant's key: erasing them takes it along."""
    return keyring.seal(
        connection, patient=patient, type="Operation", id=op_id, version=1, body=operation,
        place=HELD,
    )  # fmt: skip


def held(
    connection: Connection, keyring: Keyring, patient: PatientId, op_id: str, sealed: bytes
) -> bytes | None:
    """What was held; None once the participant has been erased."""
    try:
        return keyring.open(
            connection, patient=patient, type="Operation", id=op_id, version=1, sealed=sealed,
            place=HELD,
        )  # fmt: skip
    except SealBroken:
        return None


def _digest(keyring: Keyring, sha256: str) -> bytes:
    return keyring.blind.digest(PURPOSE, sha256.encode())
