"""Who is calling: an access token checked without the database, then against it in one statement.

`present` runs in async code on every request, so it only computes and remembers; `resolve` runs in
the act's own transaction, so a token revoked a moment ago opens nothing.
"""

import hashlib
import threading
from dataclasses import dataclass
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import JoseError
from sqlalchemy import Connection, bindparam, exists, or_, select

from service.access.tables import principal, revoked_token, token_key
from service.access.token_keys import TokenKey, TokenKeys
from service.errors import Unauthenticated
from service.vocabulary import Micros, PatientId, Purpose, Relation, ResourceId, Role

ALGORITHM = "ES256"
TOKEN_TYPE = "at+jwt"  # noqa: S105 (RFC 9068: nothing else we sign passes for an access token)
OWN_APP = "peernotes-app"
"""The client id of our own tablet and web app."""
ROLE_SCOPE = "role"
"""The one scope of our own app: whatever the role allows. No registered client can have it."""
LONGEST = 4096
REMEMBERED = 10_000

RESOLVE = select(principal).where(
    principal.c.id == bindparam("principal"),
    principal.c.active,
    exists().where(
        token_key.c.kid == bindparam("key"),
        token_key.c.until > bindparam("at"),
    ),
    ~exists().where(
        or_(
            revoked_token.c.token == bindparam("token"),
            revoked_token.c.token == bindparam("family"),
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Presented:
    """A token that we signed and that has not expired; nothing yet about whether it still holds."""

    principal: str
    client: str
    scopes: tuple[str, ...] | None  # None: our own app, bounded by role alone
    token: str  # jti
    family: str  # of the sign-in it came from; the jti itself for a backend service
    key: str  # kid
    issued: Micros
    expires: Micros


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal in good standing, and what its token lets it do."""

    principal: str
    client: str
    role: Role
    relation: Relation
    organisation: ResourceId | None
    practitioner: ResourceId | None
    patient: PatientId | None
    purposes: tuple[Purpose, ...]  # entitled; the first is the default
    scopes: tuple[str, ...] | None  # None: our own app, bounded by role alone
    medical: bool
    token: str
    expires: Micros


class Tokens:
    """Checks the access tokens of one house. `issuer` is its base URL, and their audience too."""

    def __init__(self, issuer: str, keys: TokenKeys) -> None:
        self._issuer = issuer
        self._keys = keys
        self._lock = threading.Lock()
        self._seen: dict[bytes, Presented] = {}

    def present(self, authorization: str | None, at: Micros) -> Presented:
        """Check an Authorization header. Only proved tokens are remembered, so junk evicts none."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > LONGEST:
            raise Unauthenticated("A bearer token is needed.")
        digest = hashlib.sha256(token.encode(errors="replace")).digest()
        presented = self._seen.get(digest)
        if presented is None:
            presented = self._verify(token)
            with self._lock:
                while len(self._seen) >= REMEMBERED:
                    del self._seen[next(iter(self._seen))]
                self._seen[digest] = presented
        if presented.expires <= at:
            raise Unauthenticated("The access token has expired.")
        return presented

    def resolve(self, connection: Connection, presented: Presented, at: Micros) -> Caller:
        """The caller behind a token, if account, sign-in, token and signing key all still hold."""
        self._keys.refresh(connection, at)
        row = connection.execute(
            RESOLVE,
            {
                "principal": presented.principal, "key": presented.key, "at": at,
                "token": presented.token, "family": presented.family,
            },
        ).one_or_none()  # fmt: skip
        if row is None:
            raise Unauthenticated("The access token no longer holds.")
        return Caller(
            principal=row.id,
            client=presented.client,
            role=Role(row.role),
            relation=Relation(row.relation),
            organisation=row.organisation,
            practitioner=row.practitioner,
            patient=row.patient,
            purposes=tuple(Purpose(word) for word in row.purposes.split()),
            scopes=presented.scopes,
            medical=row.medical,
            token=presented.token,
            expires=presented.expires,
        )

    def _verify(self, token: str) -> Presented:
        try:
            header = jws.extract_compact(token.encode("ascii")).headers()
            key = self._keys.find(header.get("kid"))
            if key is None or header.get("typ") != TOKEN_TYPE:
                raise Unauthenticated("The access token is not ours.")
            claims = jwt.decode(token, key.pair, algorithms=[ALGORITHM]).claims
            return self._read(claims, key)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Unauthenticated("The access token is not ours.") from error

    def _read(self, claims: dict[str, Any], key: TokenKey) -> Presented:
        """Every claim is required: a missing one denies."""
        subject, client, scope, token, family = (
            _text(claims, name) for name in ("sub", "client_id", "scope", "jti", "sid")
        )
        if claims["iss"] != self._issuer or claims["aud"] != self._issuer:
            raise ValueError("issuer or audience")
        own = client == OWN_APP
        if own is not (scope == ROLE_SCOPE):
            raise ValueError("scope")
        return Presented(
            principal=subject,
            client=client,
            scopes=None if own else tuple(scope.split()),
            token=token,
            family=family,
            key=key.kid,
            issued=_instant(claims, "iat"),
            expires=_instant(claims, "exp"),
        )


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims[name]
    if not isinstance(value, str) or not value:
        raise ValueError(name)
    return value


def _instant(claims: dict[str, Any], name: str) -> Micros:
    value = claims[name]
    if type(value) is not int:
        raise ValueError(name)
    return Micros(value * 1_000_000)
