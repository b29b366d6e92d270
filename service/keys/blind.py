"""Keyed hashes: what the database may compare without learning what it compares.

HMAC-SHA256 under a key per (tenant, type, parameter), derived from the index key (audit reference,
section 14). A code that can name a condition takes the participant into its hash, so that its
frequency says nothing; names, birth dates and addresses are never hashed into the database.
"""

import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.keys.envelope import lp


class Blind:
    """Hashes under one tenant's index key. Derived keys are kept: there are a few hundred."""

    def __init__(self, index_key: bytes, tenant: str = "") -> None:
        self._index_key = index_key
        self._tenant = tenant
        self._derived: dict[tuple[str, str], bytes] = {}

    def token(self, patient: str | None, type: str, param: str, system: str, code: str) -> int:
        """First 64 bits as a signed integer. Without `patient`, equal codes hash alike for all."""
        message = lp(system, code) if patient is None else lp(patient, system, code)
        digest = hmac.digest(self._key(type, param), message, "sha256")
        return int.from_bytes(digest[:8], "big", signed=True)

    def identifier(self, type: str, system: str, value: str) -> bytes:
        """Full length: a unique identifier must never collide."""
        return hmac.digest(self._key(type, "identifier"), lp(system, value), "sha256")

    def digest(self, purpose: str, data: bytes) -> bytes:
        """For what is no search parameter; no resource type is empty, so no key is shared."""
        return hmac.digest(self._key("", purpose), data, "sha256")

    def _key(self, type: str, param: str) -> bytes:
        found = self._derived.get((type, param))
        if found is None:
            info = lp(self._tenant, type, param)
            found = HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(
                self._index_key
            )
            self._derived[type, param] = found
        return found
