"""The restore drill: copies made while the service could run bring everything back, or say why not.

On SQLite; on PostgreSQL the same scripts call pg_dump and pg_restore.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from service.app import LOG, clock, open_house
from service.audit.log import Ledger
from service.audit.notary import Notary
from service.audit.sequencer import sequence
from service.cli import setup
from service.cli.intake import Intake
from service.cli.ledger import _database
from service.errors import KeysRefused, Tampered
from service.records.tables import resource
from service.settings import Settings, from_environment
from tests.cli.export import ndjson, patient

DEPLOY = Path(__file__).parents[2] / "deploy"


class Drill:
    """One house on SQLite, an export to load, and a place for copies."""

    def __init__(self, folder: Path) -> None:
        self.environ = {"PEERNOTES_DATA_DIR": str(folder / "var")}
        self.settings: Settings = from_environment(self.environ)
        self.export = folder / "export"
        self.copies = folder / "copies"
        setup.prepare(self.settings)

    def script(self, name: str, kind: str, folder: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(DEPLOY / name), kind, str(self.copies / (folder or kind))],
            env=os.environ | self.environ, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def load(self, *numbers: int) -> tuple[int, int]:
        ndjson(self.export / f"Patient.{numbers[0]}.ndjson", *(patient(n) for n in numbers))
        house = open_house(self.settings)
        intake = Intake(house.access, self.export, self.settings.data_dir / "import")
        list(intake.work())
        house.close()
        return intake.tally.stored, intake.tally.unchanged

    def sign(self) -> None:
        house = open_house(self.settings)
        ledger = Ledger(LOG, house.keyring.ingest_key)
        while sequence(house.transactions, ledger, clock()):
            continue
        try:
            Notary(house.transactions, ledger, self.settings.notary_dir, clock).step()
        finally:
            house.close()

    def records(self) -> int:
        house = open_house(self.settings)
        with house.access.published() as connection:
            found: int = connection.execute(select(func.count()).select_from(resource)).scalar_one()
        house.close()
        return found

    def lose(self, *names: str) -> None:
        for name in names:
            shutil.rmtree(self.settings.data_dir / name)


@pytest.fixture
def drill(tmp_path: Path) -> Drill:
    return Drill(tmp_path)


def test_everything_comes_back(drill: Drill) -> None:
    drill.load(1, 2)
    drill.sign()
    for kind in ("database", "keyring", "notary"):
        assert drill.script("backup", kind).returncode == 0
    drill.lose("database", "keys", "notary")
    for kind in ("database", "keyring", "notary"):
        done = drill.script("restore", kind)
        assert done.returncode == 0, done.stderr
    assert not setup.prepare(drill.settings)
    assert drill.records() == 2
    assert drill.load(1, 2) == (0, 2)
    drill.sign()
    assert _database(drill.settings) == 0


def test_what_was_loaded_after_the_copy_is_loaded_again(drill: Drill) -> None:
    drill.load(1)
    drill.script("backup", "database")
    assert drill.load(2) == (1, 1)
    drill.lose("database")
    drill.script("restore", "database")
    assert drill.records() == 1
    assert drill.load(2) == (1, 1)  # the journal knew of commits that this database never had


def test_a_database_older_than_the_notary_remembers_is_refused(drill: Drill) -> None:
    drill.load(1)
    drill.sign()
    drill.script("backup", "database")
    drill.load(2)
    drill.sign()
    drill.lose("database")
    drill.script("restore", "database")
    with pytest.raises(Tampered):
        drill.sign()


def test_a_database_without_its_keyring_stays_closed(drill: Drill) -> None:
    drill.load(1)
    drill.script("backup", "database")
    drill.lose("database", "keys")
    assert drill.script("restore", "database").returncode == 0
    with pytest.raises(KeysRefused, match="keyring"):
        setup.prepare(drill.settings)
    assert not drill.settings.keyring.exists()


def test_copies_are_kept_apart_and_readable_by_their_owner_alone(drill: Drill) -> None:
    drill.load(1)
    assert drill.script("backup", "database").returncode == 0
    refused = drill.script("backup", "keyring", "database")
    assert refused.returncode == 1
    assert "a place of its own" in refused.stderr
    assert drill.script("backup", "keyring").returncode == 0
    for path in drill.copies.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
    key = (drill.copies / "keyring" / "keyring.json").read_bytes()
    database = (drill.copies / "database" / "peernotes.db").read_bytes()
    assert b"Example" not in database
    assert not any(line.strip() in database for line in key.splitlines() if b'"key"' in line)


def test_nothing_is_restored_over_what_is_there(drill: Drill) -> None:
    drill.load(1)
    drill.script("backup", "database")
    drill.script("backup", "keyring")
    for kind in ("database", "keyring"):
        refused = drill.script("restore", kind)
        assert refused.returncode == 1
        assert "there already" in refused.stderr
    drill.lose("database")
    copy = drill.copies / "database" / "peernotes.db"
    copy.write_bytes(copy.read_bytes()[:8192] + b"\0" * 8192)
    damaged = drill.script("restore", "database")
    assert damaged.returncode == 1
    assert not (drill.settings.data_dir / "database" / "peernotes.db").exists()
