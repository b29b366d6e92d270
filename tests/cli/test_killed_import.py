"""Killed in the middle, an import goes on where it was; nothing is stored by half or twice."""

import time
from pathlib import Path

import pytest
from commands import Loaded, load, started, terminated
from export import encounter, ndjson, patient, uuid
from sqlalchemy import func, select

from service.app import open_house
from service.cli import setup
from service.database import engine as engines
from service.records.tables import resource, resource_version
from service.settings import from_environment

MANY = 3_000


def stored(environ: dict[str, str]) -> tuple[int, int]:
    """Records, and versions of them."""
    engine = engines.build(from_environment(environ).database_url, pool_size=1)
    with engine.connect() as connection:
        records, versions = (
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (resource, resource_version)
        )
    engine.dispose()
    return records, versions


def test_a_killed_import_goes_on(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = tmp_path / "export"
    ndjson(export / "Patient.ndjson", patient(1))
    ndjson(
        export / "Encounter.ndjson",
        *(encounter(n, f"Patient/{uuid(1)}") for n in range(2, MANY)),
        encounter(MANY, f"Patient/{uuid(MANY + 1)}"),
    )
    setup.prepare(from_environment(environ))
    for signal in ("kill", "terminate"):
        before, _ = stored(environ)
        process = started(environ, "import", str(export))
        try:
            while process.poll() is None and stored(environ)[0] < before + 200:
                time.sleep(0.05)
            open_house(from_environment(environ)).close()  # writes: it finds its turn in between
            assert process.poll() is None, "it was done before it could be interrupted"
            if signal == "terminate":
                terminated(process)
        finally:
            process.kill()
            process.wait()
    done: Loaded = load(environ, export, capsys=capsys)
    new, known, refused = done.counts
    assert (new + known, refused) == (MANY - 1, 1)
    assert known >= 400  # of two runs, at most one batch each was without its note
    assert stored(environ) == (MANY - 1, MANY - 1)
