"""A client proves itself by a JWT it signed (RFC 7523; SMART backend services).

    https://hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html

The checks, in order: (1) RS384 or ES384, by a registered key with the kid named; (2) jku, if sent,
is the registered address; (3) iss = sub = the client, and so is client_id if sent; (4) aud is our
token URL alone; (5) exp within five minutes, plus skew; iat and nbf, if sent, not in the future;
(6) a jti never seen before. `Proof` does 1 to 5 outside any transaction.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError, OAuth2Request
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from service.access.token_keys import SECOND
from service.errors import PeernotesError
from service.identity.clients import ASSERTION, Client, Clients
from service.vocabulary import Micros

ALGORITHMS = ("RS384", "ES384")
LIFETIME = 300
SKEW = 60
LONGEST = 8192
UNREADABLE = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""All that hostile bytes have been seen to raise inside the JOSE library."""


class Unproved(InvalidClientError):
    """The client did not prove itself; `reason` is for the ledger, never for the client."""

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Once:
    """What makes an assertion single use, until when it has to be remembered."""

    issuer: str
    token: bytes
    until: Micros


class Proof(JWTBearerClientAssertion):
    """Made for one request. `proved` is told of a client that passed checks 1 to 5."""

    CLIENT_AUTH_METHOD = ASSERTION  # type: ignore[misc] # the stub calls it final

    def __init__(
        self, token_url: str, clients: Clients, at: Micros, proved: Callable[[Client, Once], bool]
    ) -> None:
        super().__init__()
        self._token_url = token_url
        self._clients = clients
        self._at = at
        self._proved = proved
        self._client: Client | None = None

    def __call__(
        self, query_client: Callable[[str], Client | None], request: OAuth2Request
    ) -> Client | None:
        if len(request.form.get("client_assertion", "")) > LONGEST:
            raise Unproved("bad-assertion")
        found: Client | None = super().__call__(query_client, request)  # type: ignore[no-untyped-call]
        named = request.form.get("client_id")
        if found is not None and named not in (None, found.id):
            raise Unproved("bad-assertion")
        return found

    def extract_assertion(self, assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            header, claims = super().extract_assertion(assertion)
        except UNREADABLE as error:
            raise Unproved("bad-assertion") from error
        return header, claims

    def resolve_client_public_key(self, client: Client) -> KeySet:
        self._client = client  # the key is chosen by kid, below
        return client.jwks or KeySet([])

    def process_assertion_claims(self, assertion: str, resolve_key: KeySet) -> dict[str, Any]:  # noqa: ARG002 (authlib's signature)
        client = self._client
        if client is None or client.method != ASSERTION:
            raise Unproved("bad-assertion")
        try:
            claims = self._read(client, assertion)
            once = check(claims, client.id, self._token_url, self._at)
        except PeernotesError as error:
            raise Unproved("no-client-keys") from error
        except UNREADABLE as error:
            raise Unproved("bad-assertion") from error
        if not self._proved(client, once):
            raise Unproved("replayed-assertion")
        return claims

    def _read(self, client: Client, assertion: str) -> dict[str, Any]:
        header = jws.extract_compact(assertion.encode("ascii")).headers()
        kid, address = header.get("kid"), header.get("jku")
        if not isinstance(kid, str) or (address is not None and address != client.jwks_uri):
            raise ValueError("kid or jku")
        keys = self._clients.keys(client, kid, self._at)
        key = keys.get_by_kid(kid)
        return jwt.decode(assertion, key, algorithms=ALGORITHMS).claims


def check(claims: Mapping[str, Any], client_id: str, token_url: str, at: Micros) -> Once:
    """Checks 3 to 5 on claims whose signature held; raises ValueError or KeyError.

    An audience that names others too is refused: they could replay the assertion here.
    """
    if claims["iss"] != client_id or claims["sub"] != client_id:
        raise ValueError("iss or sub")
    if claims["aud"] not in (token_url, [token_url]):
        raise ValueError("aud")
    now = at / SECOND
    expires = _date(claims["exp"])
    if not now - SKEW < expires <= now + LIFETIME + SKEW:
        raise ValueError("exp")
    if any(_date(claims[name]) > now + SKEW for name in ("iat", "nbf") if name in claims):
        raise ValueError("iat or nbf")
    token = claims["jti"]
    if not isinstance(token, str) or not token:
        raise ValueError("jti")
    digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
    return Once(client_id, digest, Micros(int((expires + SKEW) * SECOND) + 1))


def _date(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**40:
        raise ValueError("a date is a number of seconds")
    return float(value)
