"""The key rows of one tenant: made, opened and erased in the transaction they are handed.

Key-encryption keys are opened when a row names one that this process has not met, so a process
that started before a rotation goes on opening everything, and makes new keys under the new one.
"""

import threading
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Row, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from service.errors import Conflict, KeysRefused, SealBroken, Unavailable
from service.keys import envelope
from service.keys.provider import LocalRoot
from service.keys.tables import key_kek, key_wrapped
from service.vocabulary import TenantId

PARTICIPANT = "participant"
OPENS = ("active", "retiring")
LARGEST_NUMBER = 2**31 - 1
CANARY = b"peernotes: this key opens"

_OWNED = (key_wrapped.c.owner == bindparam("o"), key_wrapped.c.use == bindparam("u"))
_NEWEST = select(key_wrapped).where(*_OWNED).order_by(key_wrapped.c.key_no.desc()).limit(1)
_NUMBERED = select(key_wrapped).where(*_OWNED, key_wrapped.c.key_no == bindparam("n"))
_KEK = select(key_kek).where(key_kek.c.tenant == bindparam("t"), key_kek.c.kek == bindparam("k"))
_ACTIVE = (
    select(key_kek.c.kek)
    .where(key_kek.c.tenant == bindparam("t"), key_kek.c.state == "active")
    .order_by(key_kek.c.kek.desc())
    .limit(1)
    # Shared with other makers, exclusive with a rotation: it waits until our key is committed, so
    # it sees and moves it.
    .with_for_update(read=True)
)
_MAKE = {
    "sqlite": sqlite.insert(key_wrapped).on_conflict_do_nothing().returning(key_wrapped.c.key_no),
    "postgresql": postgresql.insert(key_wrapped)
    .on_conflict_do_nothing()
    .returning(key_wrapped.c.key_no),
}
_ERASE = (
    update(key_wrapped)
    .where(key_wrapped.c.owner == bindparam("o"), key_wrapped.c.use == PARTICIPANT)
    .values(wrapped=None, state="erased")
)
_TURN = (
    update(key_wrapped)
    .where(
        key_wrapped.c.owner == bindparam("o"),
        key_wrapped.c.use == PARTICIPANT,
        key_wrapped.c.state == bindparam("old"),
    )
    .values(state=bindparam("new"))
)

KeyRow = Row[Any]


class Custody:
    """Opens and makes wrapped keys. Thread safe: two threads may open one KEK twice, no more."""

    def __init__(self, path: Path, root: LocalRoot) -> None:
        self.tenant: TenantId = root.tenant
        self._path = path
        self._root = root
        self._keks: dict[int, AESGCM] = {}
        self._lock = threading.Lock()

    def newest(self, connection: Connection, owner: str, use: str) -> KeyRow | None:
        """The row whose key seals now, whatever its state."""
        return connection.execute(_NEWEST, {"o": owner, "u": use}).first()

    def numbered(self, connection: Connection, owner: str, use: str, key_no: int) -> KeyRow | None:
        """The row of that number, which stood in sealed bytes: anything up to 2**32 is possible."""
        if not 0 < key_no <= LARGEST_NUMBER:  # PostgreSQL would raise, and end the transaction
            return None
        return connection.execute(_NUMBERED, {"o": owner, "u": use, "n": key_no}).first()

    def unwrap(self, connection: Connection, row: KeyRow) -> bytes:
        """The key itself, or SealBroken: erased, moved, altered and unknown answer alike."""
        if row.state not in OPENS:
            raise SealBroken
        return self._unwrapped(connection, row)

    def _unwrapped(self, connection: Connection, row: KeyRow) -> bytes:
        if row.wrapped is None or row.alg != envelope.AES_GCM:
            raise SealBroken
        kek = self._kek(connection, row.kek)
        aad = self._context(row.owner, row.use, row.key_no, row.kek)
        return envelope.unwrap(kek, row.kek, row.wrapped, aad)

    def make(self, connection: Connection, owner: str, use: str) -> bytes | None:
        """Key number 1, in the caller's transaction. None: somebody was first, and theirs stays."""
        kek, key, key_no = self._active(connection), envelope.new_key(), 1
        aad = self._context(owner, use, key_no, kek)
        row = {
            "owner": owner,
            "use": use,
            "key_no": key_no,
            "tenant": self.tenant,
            "kek": kek,
            "alg": envelope.AES_GCM,
            "state": "active",
            "wrapped": envelope.wrap(self._kek(connection, kek), kek, key, aad),
        }
        made = connection.execute(_MAKE[connection.dialect.name], row).first()
        return None if made is None else key

    def rewrapped(self, connection: Connection, row: KeyRow, new: int) -> bytes:
        """The row's key under another KEK, whatever its state: pending erasure may be cancelled."""
        key = self._unwrapped(connection, row)
        aad = self._context(row.owner, row.use, row.key_no, new)
        return envelope.wrap(self._kek(connection, new), new, key, aad)

    def turn(self, connection: Connection, owner: str, old: str, new: str) -> int:
        """Move a participant's keys from one state to another; how many there were."""
        return connection.execute(_TURN, {"o": owner, "old": old, "new": new}).rowcount

    def erase(self, connection: Connection, owner: str) -> int:
        return connection.execute(_ERASE, {"o": owner}).rowcount

    def prove(self, connection: Connection) -> None:
        """Open every canary that must open; KeysRefused if the keyring is not this database's."""
        rows = connection.execute(
            select(key_kek).where(key_kek.c.tenant == self.tenant, key_kek.c.state != "destroyed")
        ).all()
        if not any(row.state == "active" for row in rows):
            raise KeysRefused(
                "No key-encryption key of this keyring is active in the database: restore the key"
                " tables and the keyring from the same backup; nothing was written."
            )
        for row in rows:
            try:
                self._open_kek(row)
            except SealBroken:
                raise KeysRefused(
                    f"The keyring does not open key-encryption key {row.kek}: it belongs to another"
                    " database, or the key tables were altered. Restore the keyring that was in use"
                    " with this database; nothing was written."
                ) from None

    def _active(self, connection: Connection) -> int:
        for _ in range(3):  # a rotation may commit while we wait for its row: look again
            kek = connection.execute(_ACTIVE, {"t": self.tenant}).scalar()
            if kek is not None:
                return int(kek)
        raise Unavailable("No key-encryption key is active just now; nothing was stored.")

    def _context(self, owner: str, use: str, key_no: int, kek: int) -> bytes:
        return envelope.key_context(
            tenant=self.tenant, owner=owner, use=use, key_no=key_no, kek=kek, alg=envelope.AES_GCM
        )

    def _kek(self, connection: Connection, kek: int) -> AESGCM:
        found = self._keks.get(kek)
        if found is not None:
            return found
        row = connection.execute(_KEK, {"t": self.tenant, "k": kek}).first()
        if row is None or row.state == "destroyed":
            raise SealBroken
        try:
            return self._open_kek(row)
        except KeysRefused:  # its sentence is for the operator at start, not for a caller
            raise Unavailable("A key cannot be reached just now; nothing was disclosed.") from None

    def _open_kek(self, row: KeyRow) -> AESGCM:
        with self._lock:
            if row.root not in self._root.roots:  # made since we started
                self._root = LocalRoot.load(self._path)
            root = self._root
        cipher = AESGCM(root.unwrap(row.root, row.kek, row.wrapped))
        aad = canary_context(self.tenant, row.kek)
        if envelope.open_sealed(cipher, row.canary, aad) != CANARY:
            raise SealBroken
        self._keks[row.kek] = cipher
        return cipher


def canary_context(tenant: str, kek: int) -> bytes:
    return envelope.lp("peernotes/canary/v1", tenant, kek.to_bytes(4, "big"))


def kek_row(root: LocalRoot, number: int, kek: int) -> dict[str, object]:
    """A new key-encryption key under root key `number`, with the canary that proves it."""
    key = envelope.new_key()
    aad = canary_context(root.tenant, kek)
    return {
        "tenant": root.tenant,
        "kek": kek,
        "root": number,
        "state": "active",
        "wrapped": root.wrap(number, kek, key),
        "canary": envelope.seal(AESGCM(key), kek, CANARY, aad),
    }


def refuse_writing(row: KeyRow) -> None:
    """A participant whose key is erased, or about to be, takes no new records."""
    if row.state != "active":
        raise Conflict("This participant's key was erased or is about to be; nothing was stored.")
