"""An access token is checked without the database, then against it in one statement."""

import base64
import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from joserfc import jwk, jwt
from sqlalchemy import Engine, event, insert, update

from service.access.caller import OWN_APP, REMEMBERED, ROLE_SCOPE, Tokens
from service.access.tables import principal, revoked_token, token_key
from service.access.token_keys import PLACE, TokenKeys
from service.database.transactions import Transactions
from service.errors import Unauthenticated, Unavailable
from service.keys.keyring import Keyring, start
from service.vocabulary import HOUSE, OPEN_END, Micros, Purpose, Relation, Role
from tests.conftest import HandClock

BASE = "https://notes.example.org"
KID = str(uuid4())
PAIR = jwk.ECKey.generate_key("P-256", parameters={"kid": KID})
WHO = str(uuid4())


@pytest.fixture
def keyring(opener: Transactions, clock: HandClock, tmp_path: Path) -> Keyring:
    return start(opener, tmp_path / "keys" / "keyring.json", create=True, at=clock())


@pytest.fixture
def tokens(opener: Transactions, clock: HandClock, keyring: Keyring) -> Tokens:
    with opener.write() as connection:
        add_key(connection, keyring, 1, PAIR, clock())
        connection.execute(
            insert(principal),
            {
                "id": WHO, "kind": "person", "role": "clinician", "relation": "inside",
                "practitioner": str(uuid4()), "purposes": "TREAT ETREAT", "medical": True,
                "active": True, "since": clock(),
            },
        )  # fmt: skip
        keys = TokenKeys(keyring)
        keys.load(connection, clock())
    return Tokens(BASE, keys)


def add_key(connection: Any, keyring: Keyring, number: int, pair: jwk.ECKey, since: Micros) -> None:
    body = json.dumps(pair.as_dict(private=True)).encode()
    sealed = keyring.seal(
        connection, patient=HOUSE, type="TokenKey", id=pair.kid, version=number,
        body=body, place=PLACE,
    )  # fmt: skip
    row = {"number": number, "kid": pair.kid, "sealed": sealed, "since": since, "until": OPEN_END}
    connection.execute(insert(token_key), row)


def sign(clock: HandClock, key: Any = PAIR, header: Any = None, **changes: Any) -> str:
    now = clock() // 1_000_000
    claims = {
        "iss": BASE, "aud": BASE, "sub": WHO, "client_id": OWN_APP, "scope": ROLE_SCOPE,
        "jti": str(uuid4()), "sid": str(uuid4()), "iat": now, "exp": now + 900, **changes,
    }  # fmt: skip
    claims = {name: value for name, value in claims.items() if value is not None}
    fields = {"alg": "ES256", "typ": "at+jwt", "kid": KID, **(header or {})}
    token = jwt.encode(fields, claims, key, algorithms=[fields["alg"]])
    return f"Bearer {token}"


def test_a_token_becomes_a_caller_with_all_that_the_gate_asks(
    tokens: Tokens, opener: Transactions, clock: HandClock
) -> None:
    presented = tokens.present(sign(clock), clock())
    with opener.read() as connection:
        caller = tokens.resolve(connection, presented, clock())
    assert (caller.principal, caller.client, caller.role) == (WHO, OWN_APP, Role.CLINICIAN)
    assert (caller.relation, caller.medical) == (Relation.INSIDE, True)
    assert caller.purposes == (Purpose.TREAT, Purpose.ETREAT)
    assert (caller.scopes, caller.patient) == (None, None)
    assert caller.expires == clock() + 900_000_000


def test_resolving_is_one_statement(
    tokens: Tokens, opener: Transactions, clock: HandClock, engine: Engine
) -> None:
    presented = tokens.present(sign(clock), clock())
    with opener.read() as connection:
        tokens.resolve(connection, presented, clock())
        seen: list[str] = []
        event.listen(engine, "before_cursor_execute", lambda *a: seen.append(a[2]))
        tokens.resolve(connection, presented, clock())
    assert len(seen) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example.org"}, {"iss": None},
        {"aud": "https://other.example.org"}, {"aud": None}, {"aud": [BASE]},
        {"sub": None}, {"sub": ""}, {"client_id": None}, {"scope": None}, {"jti": None},
        {"sid": None}, {"iat": None}, {"exp": None}, {"exp": "9999999999"}, {"exp": True},
        {"client_id": "someone"}, {"scope": "system/*.cruds"},
        {"header": {"typ": "JWT"}}, {"header": {"kid": "7ebe686c-aebc-4811-ba26-5af97a2e5f92"}},
    ],
)  # fmt: skip
def test_a_token_with_a_wrong_or_missing_claim_is_refused(
    tokens: Tokens, clock: HandClock, changes: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        tokens.present(sign(clock, **changes), clock())


def test_only_a_registered_client_has_scopes_and_only_our_app_has_none(
    tokens: Tokens, clock: HandClock
) -> None:
    presented = tokens.present(
        sign(clock, client_id=str(uuid4()), scope="system/*.rs system/Task.c"), clock()
    )
    assert presented.scopes == ("system/*.rs", "system/Task.c")


def test_a_token_signed_otherwise_is_refused(tokens: Tokens, clock: HandClock) -> None:
    stranger = jwk.ECKey.generate_key("P-256", parameters={"kid": KID})
    secret = jwk.OctKey.import_key(json.dumps(PAIR.as_dict(private=False)))
    head, claims, _ = sign(clock).removeprefix("Bearer ").split(".")
    none = base64.urlsafe_b64encode(
        json.dumps({"alg": "none", "typ": "at+jwt", "kid": KID}).encode()
    )
    for header in (
        sign(clock, key=stranger),
        sign(clock, key=secret, header={"alg": "HS256"}),
        f"Bearer {head}.{claims}.",
        f"Bearer {none.decode().rstrip('=')}.{claims}.",
    ):
        with pytest.raises(Unauthenticated):
            tokens.present(header, clock())


@pytest.mark.parametrize(
    "header",
    [
        None, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b.c", "Bearer \x00", "Bearer é.é.é",
        "Bearer " + "a" * 5000, "Bearer \ud800",
        "Bearer " + base64.urlsafe_b64encode(b"[" * 2900).decode() + ".e30.AAAA",
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused(tokens: Tokens, clock: HandClock, header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        tokens.present(header, clock())


def test_a_remembered_token_expires_on_time(tokens: Tokens, clock: HandClock) -> None:
    header = sign(clock)
    assert tokens.present(header, clock()) is tokens.present(header, clock())
    clock.advance(899.9)
    tokens.present(header, clock())
    clock.advance(0.1)
    with pytest.raises(Unauthenticated):
        tokens.present(header, clock())


def test_the_memory_is_bounded_and_junk_does_not_enter(tokens: Tokens, clock: HandClock) -> None:
    presented = tokens.present(sign(clock), clock())
    tokens._seen = {os.urandom(8): presented for _ in range(REMEMBERED)}
    tokens.present(sign(clock), clock())
    assert len(tokens._seen) == REMEMBERED
    with pytest.raises(Unauthenticated):
        tokens.present("Bearer a.b.c", clock())
    assert len(tokens._seen) == REMEMBERED


@pytest.mark.parametrize("ended", ["token", "family", "principal", "key"])
def test_whatever_ends_refuses_the_token_at_once(
    tokens: Tokens, opener: Transactions, clock: HandClock, ended: str
) -> None:
    presented = tokens.present(sign(clock), clock())
    revoked = {"token": presented.token, "family": presented.family}
    with opener.write() as connection:
        match ended:
            case "principal":
                connection.execute(update(principal).values(active=False))
            case "key":
                connection.execute(update(token_key).values(until=clock()))
            case _:
                row = {"token": revoked[ended], "until": OPEN_END}
                connection.execute(insert(revoked_token), row)
    with opener.read() as connection, pytest.raises(Unauthenticated):
        tokens.resolve(connection, presented, clock())


def test_a_key_met_for_the_first_time_is_read_within_a_second(
    tokens: Tokens, opener: Transactions, clock: HandClock, keyring: Keyring
) -> None:
    presented = tokens.present(sign(clock), clock())
    fresh = jwk.ECKey.generate_key("P-256", parameters={"kid": str(uuid4())})
    header = sign(clock, key=fresh, header={"kid": fresh.kid})
    with opener.read() as connection:
        tokens.resolve(connection, presented, clock())
    with opener.write() as connection:
        add_key(connection, keyring, 2, fresh, clock())
    clock.advance(1)
    with pytest.raises(Unauthenticated):
        tokens.present(header, clock())
    with opener.read() as connection:
        tokens.resolve(connection, presented, clock())
    tokens.present(header, clock())


def test_no_key_signs_nothing(keyring: Keyring, clock: HandClock) -> None:
    with pytest.raises(Unavailable):
        TokenKeys(keyring).signing(clock())
