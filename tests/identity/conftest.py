"""Fixtures: a house at its door, and people and systems that come to it."""

from pathlib import Path
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from starlette.testclient import TestClient

from service.database.transactions import Transactions
from service.identity.accounts import Secrets, Standing
from service.identity.house import House
from service.identity.passwords import Passwords
from service.keys.keyring import Keyring, start
from service.vocabulary import PatientId, ResourceId, Role
from tests.conftest import HandClock
from tests.identity.door import PlainGate, a_house, open_account, register, serve


@pytest.fixture
def keyring(opener: Transactions, clock: HandClock, tmp_path: Path) -> Keyring:
    return start(opener, tmp_path / "keys" / "keyring.json", create=True, at=clock())


@pytest.fixture
def gate(opener: Transactions, clock: HandClock) -> PlainGate:
    return PlainGate(opener, clock)


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


@pytest.fixture
def house(gate: PlainGate, keyring: Keyring, passwords: Passwords) -> House:
    return a_house(gate, keyring, passwords)


@pytest.fixture
def web(house: House) -> TestClient:
    return serve(house)


@pytest.fixture
def ehr(house: House) -> str:
    """The client id of an outside EHR with both kinds of key."""
    return register(house)


@pytest.fixture
def peer(house: House) -> Secrets:
    standing = Standing(Role.PEER, practitioner=ResourceId(str(uuid4())))
    return open_account(house, "Ana.Ruiz@example.org", standing)


@pytest.fixture
def participant(house: House) -> Secrets:
    standing = Standing(Role.PARTICIPANT, patient=PatientId(str(uuid4())))
    return open_account(house, "river", standing)
