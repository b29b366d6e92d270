"""Passwords: argon2id hashes that take as long for an unknown user as for a known one."""

import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 2
"""Each check takes 64 MiB and half a second of one core."""
LONGEST = 1024


class Passwords:
    """Hashes and checks. `hasher` sets the cost; the dummy hash is made at the same cost."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._seats = threading.BoundedSemaphore(AT_ONCE)
        self._dummy = self._hasher.hash("no account has this password")

    def hash(self, password: str) -> str:
        with self._seats:
            return self._hasher.hash(_normal(password))

    def check(self, known: str | None, password: str) -> bool:
        """Whether the password is right; without a hash to check, take the same time to say no."""
        with self._seats:
            try:
                self._hasher.verify(known or self._dummy, _normal(password))
            except (VerificationError, InvalidHashError):
                return False
        return known is not None


def _normal(password: str) -> bytes:
    """Typed on any keyboard, the same characters are the same password (RFC 8265)."""
    return unicodedata.normalize("NFC", password[:LONGEST]).encode()


def normal_login(username: str) -> bytes:
    """Case, width and surrounding space do not tell two people apart."""
    return unicodedata.normalize("NFKC", username[:LONGEST]).strip().casefold().encode()
