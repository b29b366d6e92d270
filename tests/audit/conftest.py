"""A ledger in a fresh database, its notary beside it, and entries to put in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hands import ORIGIN, PATIENT, STAFF, Log, Make

from service.audit.entry import Entry, Kind, Outcome, Touched
from service.audit.log import Ledger, initialise
from service.audit.notary import Notary, create
from service.database.ids import uuid7
from service.database.transactions import Transactions
from service.vocabulary import Action, EntryId, Micros


@pytest.fixture
def make(clock: Callable[[], Micros]) -> Make:
    """An entry of the clock's moment: a read by staff, unless said otherwise."""

    def made(**changes: Any) -> Entry:
        at = clock()
        values: dict[str, Any] = {
            "id": EntryId(uuid7(at)), "at": at, "kind": Kind.USE, "action": Action.READ,
            "outcome": Outcome.SUCCESS, "act": str(uuid4()), "agent": STAFF, "client": "tablet",
            "role": "peer-specialist", "organisation": str(uuid4()), "purpose": "TREAT",
            "patient": PATIENT, "touched": (Touched("Encounter", str(uuid4()), 1),),
            "basis": "inside", "reason": "",
        }  # fmt: skip
        return Entry(**values | changes)

    return made


@pytest.fixture
def log(opener: Transactions, clock: Callable[[], Micros], tmp_path: Path) -> Log:
    ledger = Ledger(1, bytes(range(32)))
    with opener.write() as connection:
        initialise(connection, ORIGIN, clock())
    directory = tmp_path / "notary"
    create(directory, ORIGIN)
    return Log(opener, ledger, clock, directory, Notary(opener, ledger, directory, clock))
