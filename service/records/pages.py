"""Page tokens: a place in a result, sealed, and good only for the caller it was given to.

The token carries the query itself, so that no link holds a person's data, and the consent epoch:
after a revocation the next page is refused (design D4). Each page is decided and audited anew; the
token opens nothing by itself. Foreign, stale, damaged: all are the same 400.
"""

import base64
import binascii
from dataclasses import dataclass, replace
from datetime import tzinfo

import msgspec

from service.errors import Malformed, PeernotesError
from service.keys.keyring import Keyring
from service.records.conditions import Reading
from service.records.query import Query, parse
from service.vocabulary import Micros

CONTEXT = "search-page"
LIFETIME = 3600 * 1_000_000
LONGEST = 16_384


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a page token is for. `purpose` and `scopes` too: a change of either is a new search."""

    principal: str
    client: str
    purpose: str
    scopes: tuple[str, ...] = ()


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed. `epoch`: of the participants the query names."""

    type: str
    asked: tuple[tuple[str, str], ...]
    at: int
    key: int | str
    id: str
    holder: tuple[str, str, str, tuple[str, ...]]
    epoch: int
    expires: int


def seal(
    keyring: Keyring, query: Query, after: tuple[int | str, str], holder: Holder, *, epoch: int,
    at: Micros,
) -> str:  # fmt: skip
    """The token for what follows `after` (sort key, id)."""
    place = _Place(query.type, query.asked, query.at, *after, _key(holder), epoch, at + LIFETIME)
    sealed = keyring.seal_free(msgspec.json.encode(place), CONTEXT)
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def resume(
    keyring: Keyring, token: str, holder: Holder, *, zone: tzinfo, at: Micros, base: str = ""
) -> Query:  # fmt: skip
    """The query a token continues; `search` still compares the epoch."""
    try:
        sealed = base64.b64decode(
            _bounded(token) + "=" * (-len(token) % 4), altchars=b"-_", validate=True
        )
        place = msgspec.json.decode(keyring.open_free(sealed, CONTEXT), type=_Place)
    except (ValueError, binascii.Error, msgspec.MsgspecError, PeernotesError):
        raise _stale() from None
    if place.expires <= at or place.holder != _key(holder):
        raise _stale()
    query = parse(place.type, place.asked, Reading(zone, Micros(place.at), base))
    return replace(query, after=(place.key, place.id), epoch=place.epoch)


def _bounded(token: str) -> str:
    if len(token) > LONGEST:
        raise _stale()
    return token


def _key(holder: Holder) -> tuple[str, str, str, tuple[str, ...]]:
    return (holder.principal, holder.client, holder.purpose, holder.scopes)


def _stale() -> Malformed:
    return Malformed("This page link is not valid any more; search again.")


def demand_epoch(query: Query, epoch: int) -> None:
    """Refuse to continue a search across a change of consent."""
    if query.after is not None and query.epoch != epoch:
        raise _stale()
