"""A founded keyring beside a fresh database, and seconds that only move by hand."""

from pathlib import Path
from uuid import uuid4

import pytest

from service.database.transactions import Transactions
from service.keys import keyring as keyrings
from service.keys.keyring import Keyring
from tests.conftest import HandClock


class Ticks:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "keyring.json"


@pytest.fixture
def keyring(opener: Transactions, path: Path, clock: HandClock, ticks: Ticks) -> Keyring:
    return keyrings.start(opener, path, create=True, at=clock(), ticks=ticks)


def new_id() -> str:
    return str(uuid4())
