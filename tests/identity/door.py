"""For the tests of this door: a house with a real database and a gate that only keeps entries."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pyotp
from fastapi import FastAPI
from joserfc import jwk, jwt
from sqlalchemy import Connection
from starlette.testclient import TestClient

from service.access.caller import Tokens
from service.access.token_keys import TokenKeys
from service.database.transactions import Transactions
from service.errors import PeernotesError, Unavailable
from service.identity import accounts, signing
from service.identity.accounts import Secrets, Standing
from service.identity.house import House, furnish
from service.identity.passwords import Passwords
from service.identity.routes import router
from service.keys.keyring import Keyring
from service.vocabulary import Action, Micros, Relation, ResourceId, Role
from tests.conftest import HandClock

BASE = "https://notes.example.org"
TOKEN_URL = f"{BASE}/oauth/token"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RSA = jwk.RSAKey.generate_key(2048, parameters={"kid": "rsa"})
EC = jwk.ECKey.generate_key("P-384", parameters={"kid": "ec"})
JWKS = {"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]}
SCOPE = "system/Encounter.rs system/Patient.rs"


@dataclass
class Entry:
    action: Action
    agent: str
    client: str
    reason: str = ""


@dataclass
class OneWork:
    connection: Connection
    at: Micros
    entry: Entry

    def refuse(self, reason: str, /) -> None:
        self.entry.reason = reason


@dataclass
class PlainGate:
    """Opens a real transaction; its ledger is a list, kept only if the work commits."""

    opener: Transactions
    clock: HandClock
    entries: list[Entry] = field(default_factory=list)
    down: bool = False

    @contextmanager
    def work(self, action: Action, *, agent: str = "", client: str = "") -> Iterator[OneWork]:
        entry = Entry(action, agent, client)
        try:
            with self.opener.write() as connection:
                yield OneWork(connection, self.clock(), entry)
                if self.down:
                    raise Unavailable("The ledger is down.")
        except PeernotesError as error:
            entry.reason = error.code
            raise
        finally:
            self.entries.append(entry)

    @property
    def reasons(self) -> list[str]:
        return [entry.reason for entry in self.entries]


def a_house(gate: PlainGate, keyring: Keyring, passwords: Passwords, **options: Any) -> House:
    """As a process makes it at start; call twice for two processes on one database."""
    keys = TokenKeys(keyring)
    with gate.opener.write() as connection:
        signing.prepare(connection, keyring, gate.clock())
        keys.load(connection, gate.clock())
    return furnish(**{
        "base_url": BASE, "production": True, "gate": gate, "opener": gate.opener,
        "clock": gate.clock, "keyring": keyring, "token_keys": keys,
        "tokens": Tokens(BASE, keys), "passwords": passwords, **options,
    })  # fmt: skip


def serve(house: House) -> TestClient:
    app = FastAPI()
    app.include_router(router(house))
    return TestClient(app, base_url=BASE)


def register(house: House, **options: Any) -> str:
    standing = Standing(Role.EHR, Relation.OUTSIDE, organisation=ResourceId(str(uuid4())))
    chosen = {"standing": standing, "scope": SCOPE, "jwks": JWKS, **options}
    with house.opener.write() as connection:
        return accounts.create_client(connection, house.keyring, house.clock(), **chosen)


def open_account(house: House, username: str, standing: Standing) -> Secrets:
    with house.opener.write() as connection:
        return accounts.create_person(
            connection, house.keyring, house.passwords, house.clock(),
            username=username, standing=standing,
        )  # fmt: skip


def principal_of(house: House, client_id: str) -> str:
    with house.opener.read() as connection:
        found = house.clients.find(connection, client_id)
    assert found
    return found.principal


def claims_for(house: House, client_id: str, **changes: Any) -> dict[str, Any]:
    now = house.clock() // 1_000_000
    claims = {
        "iss": client_id, "sub": client_id, "aud": TOKEN_URL, "exp": now + 300,
        "jti": str(uuid4()), **changes,
    }  # fmt: skip
    return {name: value for name, value in claims.items() if value is not None}


def assertion(
    house: House, client_id: str, key: Any = RSA, alg: str = "RS384",
    header: dict[str, Any] | None = None, **changes: Any,
) -> str:  # fmt: skip
    fields = {"alg": alg, "kid": key.kid, "typ": "JWT", **(header or {})}
    fields = {name: value for name, value in fields.items() if value is not None}
    return jwt.encode(fields, claims_for(house, client_id, **changes), key, algorithms=[alg])


def token_form(signed: str, **changes: str | None) -> dict[str, str]:
    form = {
        "grant_type": "client_credentials", "scope": SCOPE,
        "client_assertion_type": JWT_BEARER, "client_assertion": signed, **changes,
    }  # fmt: skip
    return {name: value for name, value in form.items() if value is not None}


def code(secrets: Secrets, clock: HandClock) -> str:
    return pyotp.TOTP(secrets.totp_secret).at(clock.at // 1_000_000)


def typed(secrets: Secrets, clock: HandClock, **changes: str) -> dict[str, str]:
    return {
        "username": secrets.username, "password": secrets.password, "totp": code(secrets, clock),
        **changes,
    }  # fmt: skip
