"""Refresh tokens: one family per sign-in, each token good for one use (RFC 9700, section 4.14.2).

Claiming is one UPDATE .. RETURNING, so of two holders of the same token one wins; the other shows
that the token was copied, and ends the sign-in for both.
"""

import hashlib
import secrets
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import (
    Connection,
    bindparam,
    exists,
    func,
    insert,
    select,
    update,
)

from service.access.tables import principal, revoked_token
from service.access.token_keys import SECOND
from service.identity.tables import insert_once, refresh_token
from service.vocabulary import Micros

SIGN_IN_LASTS = 12 * 3600 * SECOND
"""One working day, then password and code again (NIST SP 800-63B, AAL2)."""
AFTERLIFE = 3600 * SECOND
"""A revocation outlives the access tokens of its family by far."""

CLAIM = (
    update(refresh_token)
    .where(
        refresh_token.c.digest == bindparam("token_digest"),
        refresh_token.c.client == bindparam("holder"),
        refresh_token.c.used.is_(None),
        refresh_token.c.until > bindparam("at"),
        ~exists().where(revoked_token.c.token == refresh_token.c.family),
        exists().where(principal.c.id == refresh_token.c.principal, principal.c.active),
    )
    .values(used=bindparam("at"))
    .returning(refresh_token.c.family, refresh_token.c.principal, refresh_token.c.until)
)
LOOK_UP = select(refresh_token).where(refresh_token.c.digest == bindparam("token_digest"))


class Refused(Enum):
    """Why a refresh token was not taken; the values are ledger reasons."""

    UNKNOWN = "unknown-refresh-token"
    REUSED = "reused-refresh-token"
    ENDED = "ended-sign-in"


@dataclass(frozen=True, slots=True)
class Family:
    """A sign-in: whose, through which client, and until when."""

    id: str
    principal: str
    client: str
    until: Micros


def hand_out(connection: Connection, family: Family) -> str:
    """A fresh refresh token of the family; only its hash is kept."""
    token = secrets.token_urlsafe(32)
    connection.execute(
        insert(refresh_token),
        {
            "digest": _digest(token), "family": family.id, "principal": family.principal,
            "client": family.client, "until": family.until, "used": None,
        },
    )  # fmt: skip
    return token


def claim(connection: Connection, token: str, client: str, at: Micros) -> Family | Refused:
    """Use a refresh token up. A second use ends its family at once."""
    named = {"token_digest": _digest(token), "holder": client, "at": at}
    row = connection.execute(CLAIM, named).one_or_none()
    if row is not None:
        return Family(row.family, row.principal, client, Micros(row.until))
    known = connection.execute(LOOK_UP, {"token_digest": named["token_digest"]}).one_or_none()
    if known is None or known.client != client:
        return Refused.UNKNOWN
    if known.used is None:
        return Refused.ENDED
    revoke(connection, known.family, Micros(known.until))
    return Refused.REUSED


def look_up(connection: Connection, token: str) -> Family | None:
    """The family of a refresh token, used up or not."""
    row = connection.execute(LOOK_UP, {"token_digest": _digest(token)}).one_or_none()
    if row is None:
        return None
    return Family(row.family, row.principal, row.client, Micros(row.until))


def revoke(connection: Connection, token: str, until: Micros) -> None:
    """End a family, or one access token: the next request with it is refused."""
    insert_once(connection, revoked_token, {"token": token, "until": until + AFTERLIFE})


def revoke_all(connection: Connection, principal_id: str, at: Micros) -> None:
    """End every sign-in of a principal."""
    live = (
        select(refresh_token.c.family, func.max(refresh_token.c.until))
        .where(refresh_token.c.principal == principal_id, refresh_token.c.until > at)
        .group_by(refresh_token.c.family)
    )
    for family, until in connection.execute(live).all():
        revoke(connection, family, Micros(until))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
