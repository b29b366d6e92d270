"""Makes, rotates and uses the keys that sign access tokens (RFC 9068, ES256)."""

import json
from collections.abc import Mapping
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import Connection, func, select, update

from service.access.caller import ALGORITHM, TOKEN_TYPE
from service.access.tables import token_key
from service.access.token_keys import PLACE, SECOND, TokenKeys
from service.identity.tables import insert_once
from service.keys.keyring import Keyring
from service.vocabulary import HOUSE, OPEN_END, Micros

ANNOUNCE = 600 * SECOND
"""A new key is published this long before it signs: ten refreshes of every process."""
OUTLIVE = ANNOUNCE + 1800 * SECOND
"""An old key verifies this much longer: what it signed last has expired by then."""


def prepare(connection: Connection, keyring: Keyring, at: Micros) -> None:
    """Make the first key, unless there is one. Two processes starting together make one."""
    if connection.execute(select(func.count()).select_from(token_key)).scalar_one() == 0:
        _make(connection, keyring, 1, at)


def rotate(connection: Connection, keyring: Keyring, at: Micros, announce: int = ANNOUNCE) -> None:
    """Announce a successor and set an end to its predecessors.

    With `announce=0` the old keys stop verifying at once: for a key that has leaked. Processes
    refuse its tokens from the next request on, whatever they remember.
    """
    newest = connection.execute(select(func.max(token_key.c.number))).scalar_one() or 0
    if not _make(connection, keyring, newest + 1, Micros(at + announce)):
        return  # another process was quicker: one successor is enough
    end = at + OUTLIVE if announce else at
    connection.execute(
        update(token_key)
        .where(token_key.c.number <= newest, token_key.c.until > end)
        .values(until=end)
    )


def _make(connection: Connection, keyring: Keyring, number: int, since: Micros) -> bool:
    kid = str(uuid4())
    pair = ECKey.generate_key("P-256", parameters={"kid": kid})
    sealed = keyring.seal(
        connection, patient=HOUSE, type="TokenKey", id=kid, version=number,
        body=json.dumps(pair.as_dict(private=True)).encode(), place=PLACE,
    )  # fmt: skip
    return insert_once(
        connection,
        token_key,
        {"number": number, "kid": kid, "sealed": sealed, "since": since, "until": OPEN_END},
    )


def issue(
    keys: TokenKeys, issuer: str, at: Micros, lifetime: int, claims: Mapping[str, str]
) -> str:
    """Sign an access token for `lifetime` seconds; `claims` are sub, client_id, scope and sid."""
    key = keys.signing(at)
    now = at // SECOND
    body = {"iss": issuer, "aud": issuer, "jti": str(uuid4()), "iat": now, "exp": now + lifetime}
    body["sid"] = body["jti"]
    header = {"alg": ALGORITHM, "typ": TOKEN_TYPE, "kid": key.kid}
    return jwt.encode(header, {**body, **claims}, key.pair, algorithms=[ALGORITHM])
