"""Staff and participants sign in: username, password, one-time code.

One answer and one duration for every failure: unknown login, wrong password, wrong or spent code,
locked or inactive account. After five failures an account rests, longer each time; a right password
during the rest fails as well, so the rest shows to nobody.
"""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from service.access.caller import OWN_APP
from service.access.tables import principal
from service.access.token_keys import SECOND
from service.database.ids import uuid7
from service.identity.answers import Answer, refusal, signed_in
from service.identity.families import SIGN_IN_LASTS, Family
from service.identity.house import House
from service.identity.one_time import matched_step, new_secret
from service.identity.passwords import normal_login
from service.identity.tables import account
from service.keys.keyring import Keyring
from service.vocabulary import HOUSE, Action, Micros

PLACE = "account.sealed"
LOGIN = "account.login"
FREE = 5
FIRST_REST, LONGEST_REST = 30 * SECOND, 900 * SECOND
NO_SECRET = new_secret()
"""Checked when there is no account, so that the work is the same."""

FIND = (
    select(account, principal.c.active)
    .join(principal, principal.c.id == account.c.principal)
    .where(account.c.login == bindparam("digest"))
)
PASS = (
    update(account)
    .where(
        account.c.login == bindparam("digest"),
        account.c.version == bindparam("checked"),
        account.c.locked_until <= bindparam("at"),
        account.c.last_step < bindparam("step"),
    )
    .values(failures=0, locked_until=0, last_step=bindparam("step"))
)
FAIL = (
    update(account)
    .where(account.c.login == bindparam("digest"), account.c.locked_until <= bindparam("at"))
    .values(failures=account.c.failures + 1)
    .returning(account.c.failures)
)
REST = (
    update(account)
    .where(account.c.login == bindparam("digest"))
    .values(locked_until=bindparam("end"))
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What somebody typed."""

    username: str
    password: str
    totp: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    agent: str
    version: int
    step: int
    reason: str  # '' if all that was typed is right


def answer_sign_in(house: House, typed: Credentials) -> Answer:
    """POST /oauth/sign-in. Returns once tokens, or the failure, are durable."""
    digest = login_digest(house.keyring, typed.username)
    verdict = _judge(house, digest, typed)
    with house.gate.work(Action.SIGN_IN, agent=verdict.agent, client=OWN_APP) as work:
        named = {"digest": digest, "at": work.at, "checked": verdict.version, "step": verdict.step}
        reason = verdict.reason
        if not reason and work.connection.execute(PASS, named).rowcount != 1:
            reason = "spent-code"  # or the account was locked or reset while we were checking
        if reason:
            _count(work.connection, digest, work.at)
            work.refuse(reason)
            return refusal("invalid_grant")
        house.token_keys.refresh(work.connection, work.at)
        until = Micros(work.at + SIGN_IN_LASTS)
        family = Family(uuid7(work.at), verdict.agent, OWN_APP, until)
        return Answer(200, signed_in(house, work, family))


def login_digest(keyring: Keyring, username: str) -> bytes:
    """How a username is found without being kept."""
    return keyring.blind.digest(LOGIN, normal_login(username))


def _judge(house: House, digest: bytes, typed: Credentials) -> _Verdict:
    """Check everything, whatever failed before it: the slow part, outside any transaction."""
    at = house.clock()
    with house.opener.read() as connection:
        row = connection.execute(FIND, {"digest": digest}).one_or_none()
        held: dict[str, Any] = _open(house.keyring, connection, row) if row else {}
    right = house.passwords.check(held.get("password"), typed.password)
    step = matched_step(held.get("totp", NO_SECRET), typed.totp, at)
    if row is None:
        return _Verdict("", 0, 0, "unknown-login")
    reason = ""
    if step is None:
        reason = "wrong-code"
    if not right:
        reason = "wrong-password"
    if row.locked_until > at:
        reason = "locked"
    if not row.active:
        reason = "inactive"
    return _Verdict(row.principal, row.version, step or 0, reason)


def _open(keyring: Keyring, connection: Connection, row: Any) -> dict[str, Any]:  # noqa: ANN401 (a row)
    opened = keyring.open(
        connection, patient=HOUSE, type="Account", id=row.principal, version=row.version,
        sealed=row.sealed, place=PLACE,
    )  # fmt: skip
    held: dict[str, Any] = json.loads(opened)
    return held


def _count(connection: Connection, digest: bytes, at: Micros) -> None:
    """One more failure; a locked account counts none, or anybody could lock it for ever."""
    failures = connection.execute(FAIL, {"digest": digest, "at": at}).scalar_one_or_none()
    if failures is not None and failures >= FREE:
        rest = min(FIRST_REST * 2 ** min(failures - FREE, 10), LONGEST_REST)
        connection.execute(REST, {"digest": digest, "end": at + rest})
