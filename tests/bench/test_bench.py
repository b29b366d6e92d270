"""The benchmark runs from end to end and says what it measured; its figures are not tested."""

import subprocess
import sys
from pathlib import Path

from bench.plot import Group, bars

ROOT = Path(__file__).parents[2]


def test_a_quick_run_measures_every_load_and_writes_the_document(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--databases", "sqlite"]
    done = subprocess.run(
        [*command, "--docs", str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "performance.md").read_text()
    for load in ("floor: insert", "create", "read", "search, 20 newest", "log a session"):
        assert f"| {load} |" in written
    assert "create against its floor" in written
    assert (tmp_path / "performance.svg").read_text().startswith("<svg ")


def test_help_shows_an_example() -> None:
    command = [sys.executable, "-m", "bench", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Example: python -m bench" in done.stdout


def test_a_missing_value_leaves_a_gap_in_the_plot() -> None:
    drawn = bars("Title", ["one", "two"], [Group("a", (1.0, None)), Group("b", (2.0, 4.0))])
    assert drawn.count("<rect x=") == 3 + 2  # bars and legend
