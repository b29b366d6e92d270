"""The keys that sign our access tokens, as every process knows them.

A row of `token_key` opens only under this house's keyring, so a row somebody else wrote verifies
nothing. Keys are announced before they sign (identity/signing.py), and read again once a minute.
"""

import json
import threading
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import ECKey
from sqlalchemy import Connection, bindparam, select

from service.access.tables import token_key
from service.errors import Unavailable
from service.keys.keyring import Keyring
from service.vocabulary import HOUSE, Micros

SECOND = 1_000_000
REFRESH = 60 * SECOND
PLACE = "token_key.sealed"
KNOWN = select(token_key).where(token_key.c.until > bindparam("at")).order_by(token_key.c.number)


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One ES256 key pair: signs from `since`, verifies until `until`."""

    kid: str
    pair: ECKey
    since: Micros
    until: Micros


class TokenKeys:
    """A process's copy of the live token keys. Thread safe; swapped whole."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring
        self._lock = threading.Lock()
        self._keys: dict[str, TokenKey] = {}
        self._due = 0
        self._asked_early = False

    def refresh(self, connection: Connection, at: Micros) -> None:
        """Read the table again if a minute has passed, or a second when an unknown key was met."""
        with self._lock:
            if at < self._due - (REFRESH - SECOND if self._asked_early else 0):
                return
            self._due, self._asked_early = at + REFRESH, False
        self.load(connection, at)

    def load(self, connection: Connection, at: Micros) -> None:
        """Read the table now."""
        found = {}
        for row in connection.execute(KNOWN, {"at": at}):
            opened = self._keyring.open(
                connection, patient=HOUSE, type="TokenKey", id=row.kid, version=row.number,
                sealed=row.sealed, place=PLACE,
            )  # fmt: skip
            pair = ECKey.import_key(json.loads(opened))
            found[row.kid] = TokenKey(row.kid, pair, Micros(row.since), Micros(row.until))
        self._keys = found

    def find(self, kid: object) -> TokenKey | None:
        """The key of that name; one we do not know hastens the next refresh."""
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            self._asked_early = True
        return key

    def signing(self, at: Micros) -> TokenKey:
        """The newest key that may sign now."""
        ready = [key for key in self._keys.values() if key.since <= at < key.until]
        if not ready:
            raise Unavailable("No token-signing key is loaded.")
        return max(ready, key=lambda key: key.since)

    def public(self) -> dict[str, Any]:
        """The JWKS: public halves only, those announced ahead included."""
        return {
            "keys": [
                {**key.pair.as_dict(private=False), "kid": key.kid, "use": "sig", "alg": "ES256"}
                for key in self._keys.values()
            ]
        }
