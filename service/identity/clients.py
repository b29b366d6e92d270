"""Registered clients, in the shape that authlib asks for."""

import json
import re
import threading
from collections.abc import Collection
from dataclasses import dataclass

from authlib.oauth2.rfc6749 import ClientMixin
from joserfc.jwk import KeySet
from sqlalchemy import Connection, bindparam, select

from service.access.caller import OWN_APP, ROLE_SCOPE
from service.access.scopes import grant
from service.access.tables import principal
from service.errors import Invalid
from service.identity.client_keys import RemoteKeys, usable
from service.identity.tables import client
from service.keys.keyring import Keyring
from service.vocabulary import HOUSE, Micros

PLACE = "client.sealed"
ASSERTION = "private_key_jwt"
PUBLIC = "none"
BACKEND_LEVELS = ("system",)
REMEMBERED = 1000
GUID_FORM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
REGISTERED = (
    select(client, principal.c.active)
    .join(principal, principal.c.id == client.c.principal)
    .where(client.c.id == bindparam("id"))
)


@dataclass(frozen=True)
class Client(ClientMixin):
    """A client as registered. `principal` is '' for our own app: its users are the principals."""

    id: str
    principal: str
    method: str
    grants: tuple[str, ...]
    scope: str
    jwks: KeySet | None = None
    jwks_uri: str | None = None

    def get_client_id(self) -> str:
        return self.id

    def get_allowed_scope(self, scope: Collection[str] | str) -> str:
        if self.id == OWN_APP:
            return ROLE_SCOPE
        asked = scope if isinstance(scope, str) else " ".join(scope)
        return " ".join(grant(asked, self.scope, BACKEND_LEVELS))

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self.method and endpoint == "token"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.grants

    def check_redirect_uri(self, redirect_uri: str) -> bool:  # noqa: ARG002 (authlib's signature)
        return False

    def check_client_secret(self, client_secret: str) -> bool:  # noqa: ARG002 (authlib's signature)
        return False


OURS = Client(OWN_APP, "", PUBLIC, ("refresh_token",), ROLE_SCOPE)


class Clients:
    """Reads clients, remembering imported key sets: an import costs as much as a verification."""

    def __init__(self, keyring: Keyring, remote: RemoteKeys) -> None:
        self._keyring = keyring
        self._remote = remote
        self._lock = threading.Lock()
        self._imported: dict[tuple[str, int, bytes], KeySet | str] = {}

    def find(self, connection: Connection, client_id: str) -> Client | None:
        """An active client; None for any other id, whatever its characters."""
        if client_id == OWN_APP:
            return OURS
        if not GUID_FORM.fullmatch(client_id):
            return None
        row = connection.execute(REGISTERED, {"id": client_id}).one_or_none()
        if row is None or not row.active:
            return None
        place = (row.id, row.version, row.sealed)  # the seal holds for this row only
        keys = self._imported.get(place)
        if keys is None:
            opened = self._keyring.open(
                connection, patient=HOUSE, type="Client", id=row.id, version=row.version,
                sealed=row.sealed, place=PLACE,
            )  # fmt: skip
            keys = read_keys(opened)
            with self._lock:
                if len(self._imported) >= REMEMBERED:
                    self._imported.clear()
                self._imported[place] = keys
        return Client(
            row.id, row.principal, row.method, ("client_credentials",), row.scope,
            jwks=keys if isinstance(keys, KeySet) else None,
            jwks_uri=keys if isinstance(keys, str) else None,
        )  # fmt: skip

    def keys(self, found: Client, kid: str, at: Micros) -> KeySet:
        """The keys that may prove an assertion of this client."""
        if found.jwks is not None:
            return found.jwks
        if found.jwks_uri is not None:
            return self._remote.of(found.jwks_uri, kid, at)
        raise Invalid("The client has no keys.")


def read_keys(opened: bytes) -> KeySet | str:
    """What `client.sealed` holds: a key set, or the address of one."""
    held = json.loads(opened)
    address = held.get("jwks_uri")
    return address if isinstance(address, str) else usable(held.get("jwks"))
