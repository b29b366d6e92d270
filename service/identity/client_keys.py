"""The public keys a client signs its assertions with: given inline, or fetched from its URL.

Keys we cannot use are left out (RFC 7517, section 5); private or symmetric ones, and RSA under
2048 bits, are never taken. A fetched set is kept as its Cache-Control says, within bounds, and
fetched anew for an unknown key id at most every half minute.
"""

import json
import re
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from service.access.token_keys import SECOND
from service.errors import Invalid, Unavailable
from service.vocabulary import Micros

CURVE = "P-384"
LEAST_RSA_BITS = 2048
MOST_KEYS = 32
LARGEST = 64 * 1024
PATIENCE = 5.0
LEAST_AGE, USUAL_AGE, MOST_AGE = 30 * SECOND, 300 * SECOND, 3600 * SECOND
MAX_AGE = re.compile(r"\bmax-age=(\d{1,9})\b")
SECRET_MEMBERS = frozenset({"d", "k", "p", "q", "dp", "dq", "qi", "oth"})

Fetch = Callable[[str], tuple[bytes, str]]
"""Body and Cache-Control of a URL."""


def usable(jwks: object) -> KeySet:
    """The keys of a JWKS that verify RS384 or ES384 and carry a key id."""
    listed = jwks.get("keys") if isinstance(jwks, dict) else None
    if not isinstance(listed, list) or len(listed) > MOST_KEYS:
        raise Invalid("A JWKS is an object with a list of keys.")
    found = [key for key in map(_usable, listed) if key is not None]
    if not found:
        raise Invalid("The JWKS holds no key for RS384 or ES384 with a kid.")
    return KeySet(list(found))


def _usable(data: object) -> RSAKey | ECKey | None:
    if not isinstance(data, dict):
        return None
    if SECRET_MEMBERS & data.keys():
        raise Invalid("The JWKS holds a private or symmetric key: register public keys only.")
    if not isinstance(data.get("kid"), str) or data.get("use", "sig") != "sig":
        return None
    try:
        match data.get("kty"):
            case "RSA" if data.get("alg", "RS384") == "RS384":
                modulus = int.from_bytes(urlsafe_b64decode(data["n"] + "=="), "big")
                if modulus.bit_length() >= LEAST_RSA_BITS:
                    return RSAKey.import_key(_public(data, "n", "e"))
            case "EC" if data.get("crv") == CURVE and data.get("alg", "ES384") == "ES384":
                return ECKey.import_key(_public(data, "crv", "x", "y"))
            case _:
                pass
    except (JoseError, ValueError, TypeError, KeyError):
        pass
    return None


def _public(data: Mapping[str, Any], *members: str) -> dict[str, Any]:
    return {name: data[name] for name in ("kty", "kid", *members)}


@dataclass(frozen=True, slots=True)
class _Kept:
    keys: KeySet
    fetched: Micros
    until: Micros


class RemoteKeys:
    """Key sets by URL. Fetch before any transaction is open: it may take seconds."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    def of(self, url: str, kid: str, at: Micros) -> KeySet:
        """The set at `url`; raises Unavailable if it cannot be had, Invalid if it is no JWKS."""
        with self._lock:
            kept = self._kept.get(url)
        if kept is not None and at < kept.until:
            known = any(key.kid == kid for key in kept.keys)
            if known or at < kept.fetched + LEAST_AGE:
                return kept.keys
        body, caching = self._fetch(url)
        try:
            keys = usable(json.loads(body))
        except ValueError as error:
            raise Invalid("The client's JWKS address does not answer with JSON.") from error
        with self._lock:
            self._kept[url] = _Kept(keys, at, Micros(at + _age(caching)))
        return keys


def _age(caching: str) -> int:
    found = MAX_AGE.search(caching)
    if "no-store" in caching or "no-cache" in caching:
        return LEAST_AGE
    asked = int(found[1]) * SECOND if found else USUAL_AGE
    return max(LEAST_AGE, min(asked, MOST_AGE))


def fetch_https(url: str) -> tuple[bytes, str]:
    """GET a registered https address: no redirect, no more than 64 KiB, five seconds."""
    try:
        with (
            httpx2.Client(timeout=PATIENCE, follow_redirects=False) as web,
            web.stream("GET", url, headers={"accept": "application/json"}) as answer,
        ):
            if answer.status_code != httpx2.codes.OK:
                raise Unavailable("The client's JWKS address does not answer.")
            body = b""
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > LARGEST:
                    raise Unavailable("The client's JWKS is too large.")
            return body, answer.headers.get("cache-control", "")
    except httpx2.HTTPError as error:
        raise Unavailable("The client's JWKS address does not answer.") from error
