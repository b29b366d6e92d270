"""The JSON this door answers with: tokens (RFC 6749, 5.1) and refusals (5.2)."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.access.caller import ROLE_SCOPE
from service.access.token_keys import SECOND
from service.identity import families
from service.identity.families import Family
from service.identity.house import House
from service.identity.signing import issue
from service.identity.work import Work

BACKEND_LIFETIME = 300
SIGNED_IN_LIFETIME = 900
DESCRIPTIONS = {
    "invalid_request": "A required parameter is missing, repeated or malformed.",
    "invalid_client": "The client could not be authenticated.",
    "invalid_grant": "The grant is not valid, or no longer.",
    "invalid_scope": "None of the scopes asked for can be granted.",
    "invalid_token": "The access token is missing, expired or revoked.",
    "insufficient_scope": "This caller may not ask that.",
    "unauthorized_client": "This client may not use this grant.",
    "unsupported_grant_type": "The grant type is not supported.",
    "slow_down": "Too many requests at once; try again later.",
    "temporarily_unavailable": "Nothing was issued or changed; try again later.",
    "server_error": "Something is wrong on our side.",
}
"""Ours, not authlib's: those repeat what the client sent."""

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer; every one of this door is sent with no-store."""

    status: int
    body: Json


def refusal(error: str, status: int = 400) -> Answer:
    """One of the closed set of errors."""
    return Answer(status, {"error": error, "error_description": DESCRIPTIONS[error]})


def backend_token(house: House, work: Work, principal: str, client: str, scope: str) -> Json:
    """Five minutes for a system, and nothing to prolong it with."""
    named = {"sub": principal, "client_id": client, "scope": scope}
    issued = issue(house.token_keys, house.base_url, work.at, BACKEND_LIFETIME, named)
    return _bearer(issued, BACKEND_LIFETIME, scope)


def signed_in(house: House, work: Work, family: Family) -> Json:
    """The next access and refresh token of a sign-in; neither outlives it.

    `user_id` is the principal: a tablet puts it into the operations that it seals.
    """
    lifetime = min(SIGNED_IN_LIFETIME, (family.until - work.at) // SECOND)
    named = {
        "sub": family.principal, "client_id": family.client, "scope": ROLE_SCOPE,
        "sid": family.id,
    }  # fmt: skip
    issued = issue(house.token_keys, house.base_url, work.at, lifetime, named)
    refresh = families.hand_out(work.connection, family)
    return {**_bearer(issued, lifetime, ROLE_SCOPE), "refresh_token": refresh,
            "user_id": family.principal}  # fmt: skip


def _bearer(token: str, expires_in: int, scope: str) -> Json:
    return {
        "access_token": token, "token_type": "bearer", "expires_in": expires_in, "scope": scope,
    }  # fmt: skip
