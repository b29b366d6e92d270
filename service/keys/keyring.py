"""The keyring: seals and opens whatever is about a person, under that person's own key.

Every body is bound to the row it belongs to (tenant, patient, place, type, id, version), so bytes
moved to any other row do not open. A participant's key is made at their first record, in the
caller's transaction. What is altered, moved, erased or unknown answers with one error.
"""

import hmac
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection

from service.database.opener import Opener
from service.errors import KeysRefused, SealBroken, Unavailable
from service.keys import envelope, founding
from service.keys.blind import Blind
from service.keys.cache import SEALING, KeyCache, OpenKey
from service.keys.custody import PARTICIPANT, Custody, refuse_writing
from service.keys.provider import LocalRoot
from service.vocabulary import HOUSE, Micros, PatientId, TenantId

BODY = "resource_version.body"
FREE_SALT = 24
FREE_OVERHEAD = 1 + FREE_SALT + 16


class Keyring:
    """One tenant's keys in this process; made by `start`, shared by all threads."""

    def __init__(
        self, custody: Custody, house: dict[str, bytes], ticks: Callable[[], float]
    ) -> None:
        self.tenant: TenantId = custody.tenant
        self.blind = Blind(house[founding.INDEX], custody.tenant)
        self.ingest_key = house[founding.INGEST]
        self.token_key = house[founding.TOKEN]
        self._custody = custody
        self._cache = KeyCache(ticks)

    def seal(
        self, connection: Connection, *, patient: str, type: str, id: str, version: int,
        body: bytes, place: str = BODY,
    ) -> bytes:  # fmt: skip
        """Sealed for exactly this row. Makes the participant's key if they have none yet."""
        key = self._cache.get((patient, SEALING)) or self._to_seal(connection, patient)
        aad = envelope.record_context(
            tenant=self.tenant, patient=patient, place=place, type=type, id=id, version=version,
            key_no=key.key_no,
        )  # fmt: skip
        return envelope.seal(key.cipher, key.key_no, body, aad)

    def open(
        self, connection: Connection, *, patient: str, type: str, id: str, version: int,
        sealed: bytes, place: str = BODY,
    ) -> bytes:  # fmt: skip
        """The body, or SealBroken; the caller records an open-fail entry and shows nothing."""
        number = envelope.key_number(sealed)
        if number == SEALING:
            raise SealBroken
        key = self._cache.get((patient, number)) or self._to_open(connection, patient, number)
        aad = envelope.record_context(
            tenant=self.tenant, patient=patient, place=place, type=type, id=id, version=version,
            key_no=number,
        )  # fmt: skip
        return envelope.open_sealed(key.cipher, sealed, aad)

    def seal_free(self, data: bytes, context: str) -> bytes:
        """For what is no row: page tokens, cursors. 0x01 ‖ salt[24] ‖ ciphertext ‖ tag[16].

        Tokens outnumber what one key may seal (2**24), so each gets a key of its own.
        """
        salt = os.urandom(FREE_SALT)
        aad = envelope.lp("peernotes/free/v1", self.tenant, context)
        return b"\x01" + salt + self._free_key(salt).encrypt(salt[:12], data, aad)

    def open_free(self, sealed: bytes, context: str) -> bytes:
        """The data, or SealBroken: not ours, altered, or made for another context."""
        if len(sealed) < FREE_OVERHEAD or sealed[0] != 1:
            raise SealBroken
        salt = sealed[1 : 1 + FREE_SALT]
        aad = envelope.lp("peernotes/free/v1", self.tenant, context)
        try:
            return self._free_key(salt).decrypt(salt[:12], sealed[1 + FREE_SALT :], aad)
        except InvalidTag:
            raise SealBroken from None

    def suspend(self, connection: Connection, patient: PatientId) -> int:
        """Erase pending: from this commit on nothing seals or opens, and `reinstate` undoes it."""
        self._cache.bar(patient)
        return self._custody.turn(connection, patient, "active", "erase_pending")

    def reinstate(self, connection: Connection, patient: PatientId) -> int:
        return self._custody.turn(connection, patient, "erase_pending", "active")

    def erase(self, connection: Connection, patient: PatientId) -> int:
        """Destroy the participant's keys; how many there were. There is no way back.

        Here nothing opens from the commit on, in other processes after one TTL. Backups still hold
        the wrapped keys until the root key above them is destroyed (rotation.py).
        """
        self._cache.bar(patient)
        return self._custody.erase(connection, patient)

    def _to_seal(self, connection: Connection, patient: str) -> OpenKey:
        owner, use = self._owner(patient)
        row = self._custody.newest(connection, owner, use)
        if row is None and use == PARTICIPANT:
            self._cache.unsettle(connection, patient)
            made = self._custody.make(connection, owner, use)
            if made is not None:
                return OpenKey(1, AESGCM(made))
            row = self._custody.newest(connection, owner, use)
        if row is None:
            raise Unavailable("The key to seal this under is missing; nothing was stored.")
        refuse_writing(row)
        key = OpenKey(row.key_no, AESGCM(self._custody.unwrap(connection, row)))
        self._cache.put(connection, (patient, SEALING), key)
        self._cache.put(connection, (patient, key.key_no), key)
        return key

    def _to_open(self, connection: Connection, patient: str, number: int) -> OpenKey:
        owner, use = self._owner(patient)
        row = self._custody.numbered(connection, owner, use, number)
        if row is None:
            raise SealBroken
        key = OpenKey(number, AESGCM(self._custody.unwrap(connection, row)))
        self._cache.put(connection, (patient, number), key)
        return key

    def _owner(self, patient: str) -> tuple[str, str]:
        if patient == HOUSE:
            return self.tenant, founding.HOUSE
        return patient, PARTICIPANT

    def _free_key(self, salt: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self.token_key, b"peernotes/free/v1" + salt, "sha256"))


def start(
    opener: Opener, path: Path, *, create: bool, at: Micros,
    ticks: Callable[[], float] = time.monotonic,
) -> Keyring:  # fmt: skip
    """Load the keyring and prove that it is this database's, or refuse and change nothing.

    `create` allows a first start to make the keys, on an empty database and no other.
    """
    with opener.read() as connection:
        founding.demand_apart(connection, path)
        tenant = founding.tenant_of(connection)
        if tenant is None:
            founding.demand_empty(connection)
    if tenant is None:
        if not create:
            raise KeysRefused(
                "This database has no keys yet and this start may not make them: set the service"
                " up first, or correct PEERNOTES_DATABASE_URL."
            )
        founding.found(opener, path, at)
    root = LocalRoot.load(path)
    with opener.read() as connection:
        if founding.tenant_of(connection) != root.tenant:
            raise KeysRefused(
                f"The keyring {path} belongs to another database: restore the one that was in use"
                " with this database; nothing was written."
            )
        custody = Custody(path, root)
        custody.prove(connection)
        house = {use: _house_key(custody, connection, use) for use in founding.HOUSE_USES}
    return Keyring(custody, house, ticks)


def _house_key(custody: Custody, connection: Connection, use: str) -> bytes:
    row = custody.newest(connection, custody.tenant, use)
    if row is not None:
        with suppress(SealBroken):
            return custody.unwrap(connection, row)
    raise KeysRefused(
        f"The house's {use} key is missing or altered: restore the key tables from their backup;"
        " nothing was written."
    )
