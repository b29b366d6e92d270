"""The larger export: 26,379 records of 615 synthetic people on each database (`make load`)."""

import os
import time
from pathlib import Path

import pytest
from conftest import Load

KEPT, PASSED_OVER = 26_379, 7_389
PATIENCE = float(os.environ.get("LOAD_SECONDS", "180"))


@pytest.mark.skipif("LOAD" not in os.environ, reason="takes minutes: make load")
def test_many_synthetic_people_load_completely(
    loads: Load, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    first = loads(data / "synthea" / "many")
    seconds = time.monotonic() - began
    assert (first.code, first.counts) == (0, (KEPT, 0, 0))
    assert f"{PASSED_OVER} Immunization" in first.said
    assert loads(data / "synthea" / "many").counts == (0, KEPT, 0)
    with capsys.disabled():
        print(f"\n{KEPT} records in {seconds:.0f} s, {KEPT / seconds:.0f} a second")  # noqa: T201
    assert seconds < PATIENCE
