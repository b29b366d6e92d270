"""The seal: how a record, a key and a key-encryption key are encrypted, byte by byte.

    sealed   0x01 ‖ u32 key number ‖ nonce[12] ‖ ciphertext ‖ tag[16]

Tink's layout, AES-256-GCM. The number names the key *above*: for a record the participant key, for
a participant key the key-encryption key, for that one the root key. Associated data binds the bytes
to the one place they belong; `lp` puts a u32 length before each part, so no two lists of parts
share their bytes. All integers are big-endian (audit reference, sections 12 and 13).
"""

import os
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.errors import SealBroken

KEY_BYTES = 32
PREFIX = 0x01
HEAD = Struct(">BI")
NONCE_BYTES = 12
BODY = HEAD.size + NONCE_BYTES
OVERHEAD = BODY + 16
WRAPPED_BYTES = OVERHEAD + KEY_BYTES
AES_GCM = 1
"""`alg` of a key row. It is never written into a ciphertext, so nobody can lower it there."""
AS_IT_IS = 0
"""`form` of a record: its bytes as they were submitted."""

_LENGTH = Struct(">I").pack
_RECORD_TAIL = Struct(">IQIIIB").pack


def lp(*parts: str | bytes) -> bytes:
    """Join parts, each after its length; text counts and goes as UTF-8."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join([_LENGTH(len(part)) + part for part in raw])


def record_context(
    *, tenant: str, patient: str, place: str, type: str, id: str, version: int, key_no: int
) -> bytes:
    """What a record's seal is bound to. `place` is table.column."""
    ids = lp("peernotes/record/v1", tenant, patient, place, type, id)
    return ids + _RECORD_TAIL(8, version, 4, key_no, 1, AS_IT_IS)


def key_context(*, tenant: str, owner: str, use: str, key_no: int, kek: int, alg: int) -> bytes:
    return lp(
        "peernotes/key/v1",
        tenant,
        owner,
        use,
        _LENGTH(key_no),
        _LENGTH(kek),
        alg.to_bytes(1, "big"),
    )


def kek_context(tenant: str, kek: int, root: int) -> bytes:
    return lp("peernotes/kek/v1", tenant, _LENGTH(kek), _LENGTH(root))


def new_key() -> bytes:
    return os.urandom(KEY_BYTES)


def seal(key: AESGCM, key_no: int, body: bytes, aad: bytes) -> bytes:
    """A fresh random nonce every time: one key may seal 2**24 bodies, never two with one nonce."""
    nonce = os.urandom(NONCE_BYTES)
    return HEAD.pack(PREFIX, key_no) + nonce + key.encrypt(nonce, body, aad)


def open_sealed(key: AESGCM, sealed: bytes, aad: bytes) -> bytes:
    """The body, or SealBroken: altered, moved, cut or under another key all answer alike."""
    if len(sealed) < OVERHEAD or sealed[0] != PREFIX:
        raise SealBroken
    try:
        return key.decrypt(sealed[HEAD.size : BODY], sealed[BODY:], aad)
    except InvalidTag:
        raise SealBroken from None


def key_number(sealed: bytes) -> int:
    """Which key must open this. Not yet proven: the associated data repeats it."""
    if len(sealed) < OVERHEAD or sealed[0] != PREFIX:
        raise SealBroken
    return int.from_bytes(sealed[1:5], "big")


def wrap(above: AESGCM, number: int, key: bytes, aad: bytes) -> bytes:
    """Seal a key under the key above it, which `number` names: 65 bytes."""
    return seal(above, number, key, aad)


def unwrap(above: AESGCM, number: int, wrapped: bytes, aad: bytes) -> bytes:
    """The key, if these 65 bytes were wrapped under exactly that number and context."""
    if len(wrapped) != WRAPPED_BYTES or key_number(wrapped) != number:
        raise SealBroken
    return open_sealed(above, wrapped, aad)
