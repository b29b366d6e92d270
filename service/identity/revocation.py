"""Ending tokens (RFC 7009) and asking about them (RFC 7662)."""

from collections.abc import Mapping
from contextlib import ExitStack

from authlib.oauth2 import OAuth2Error
from sqlalchemy import Connection

from service.access.caller import OWN_APP, Caller, Presented
from service.access.token_keys import SECOND
from service.errors import Unauthenticated
from service.identity import families
from service.identity.answers import Answer, refusal
from service.identity.clients import ASSERTION
from service.identity.families import SIGN_IN_LASTS, Family
from service.identity.house import House
from service.identity.server import Desk, FormRequest
from service.vocabulary import Action, Micros, Role

INQUIRERS = frozenset({Role.EHR, Role.COMPLIANCE, Role.ADMINISTRATOR})


def answer_revoke(house: House, form: Mapping[str, str]) -> Answer:
    """POST /oauth/revoke: 200 for any token, known or not; what is the caller's own has ended.

    A registered client proves itself as at the token endpoint; our own app, which has no secret,
    shows that the token is its own by holding it.
    """
    if not form.get("token"):
        return refusal("invalid_request")
    with ExitStack() as stack:
        desk = Desk(house, stack, Action.REVOKE)
        request = FormRequest(house.token_url, form)
        holder = OWN_APP
        try:
            if "client_assertion" in form:
                holder = desk.authenticate_client(request, [ASSERTION]).get_client_id()
        except OAuth2Error as error:
            return desk.handle_error_response(request, error)
        found = _family(house, form["token"])
        if found is None:  # RFC 7009, section 2.2: 200 all the same, and an entry all the same
            if not desk.work:
                desk.start_work("", holder)
            return Answer(200, {})
        if found.client != holder:
            return Answer(200, {}) if desk.work else refusal("invalid_client")
        work = desk.start_work(found.principal, found.client)
        families.revoke(work.connection, found.id, found.until)
    return Answer(200, {})


def _family(house: House, token: str) -> Family | None:
    """What ends with this token: its whole sign-in, or a backend service's one token."""
    try:
        held = house.tokens.present(f"Bearer {token}", house.clock())
    except Unauthenticated:
        with house.opener.read() as connection:
            return families.look_up(connection, token)
    # A sign-in may outlive the token shown by hours, and its revocation must outlive the sign-in.
    until = Micros(held.issued + SIGN_IN_LASTS)
    return Family(held.family, held.principal, held.client, until)


def answer_introspect(house: House, authorization: str | None, form: Mapping[str, str]) -> Answer:
    """POST /oauth/introspect, for systems and those who oversee; others learn nothing."""
    at = house.clock()
    try:
        asking = house.tokens.present(authorization, at)
        with house.opener.read() as connection:
            inquirer = house.tokens.resolve(connection, asking, at)
            if inquirer.role not in INQUIRERS:
                return refusal("insufficient_scope", 403)
            if not form.get("token"):
                return refusal("invalid_request")
            told = _told(house, connection, form["token"], at)
    except Unauthenticated:
        return refusal("invalid_token", 401)
    with house.gate.work(Action.INTROSPECT, agent=asking.principal, client=asking.client):
        return Answer(200, told)


def _told(house: House, connection: Connection, token: str, at: Micros) -> dict[str, object]:
    try:
        held = house.tokens.present(f"Bearer {token}", at)
        return _active(house, held, house.tokens.resolve(connection, held, at))
    except Unauthenticated:
        return {"active": False}


def _active(house: House, held: Presented, subject: Caller) -> dict[str, object]:
    body: dict[str, object] = {
        "active": True,
        "token_type": "bearer",
        "client_id": held.client,
        "sub": held.principal,
        "iss": house.base_url,
        "aud": house.base_url,
        "iat": held.issued // SECOND,
        "exp": held.expires // SECOND,
        "jti": held.token,
    }
    if held.scopes is not None:
        body["scope"] = " ".join(held.scopes)
    if subject.patient is not None:
        body["patient"] = subject.patient
    return body
