"""Killed in the middle, an import goes on where it was; nothing is stored by half or twice."""

import time
from pathlib import Path

import pytest
from commands import Loaded, load, started, terminated
from export import encounter, ndjson, patient, uuid
from sqlalchemy import func, select

from service.app import open_house
from service.cli import setup
from service.records.tables import resource, resource_version
from service.settings import from_environment

MANY = 2_000


def stored(environ: dict[str, str]) -> tuple[int, int]:
    """Records, and versions of them."""
    house = open_house(from_environment(environ))
    try:
        with house.access.published() as connection:
            return tuple(  # type: ignore[return-value]
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in (resource, resource_version)
            )
    finally:
        house.close()


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
        while process.poll() is None and stored(environ)[0] < before + 200:
            time.sleep(0.05)
        assert process.poll() is None, "it was done before it could be interrupted"
        if signal == "kill":
            process.kill()
            process.wait()
        else:
            terminated(process)
    done: Loaded = load(environ, export, capsys=capsys)
    new, known, refused = done.counts
    assert (new + known, refused) == (MANY - 1, 1)
    assert known >= 400  # of two runs, at most one batch each was without its note
    assert stored(environ) == (MANY - 1, MANY - 1)
