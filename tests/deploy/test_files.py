"""What operators install says nothing of anybody in its logs, and sets only what there is."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FILES = ("compose.yaml", "Containerfile", "peernotes.service", "peernotes-notary.service")
LOGGED = {"time_iso8601", "request_method", "status", "body_bytes_sent", "request_time"}


@pytest.mark.parametrize("name", FILES)
def test_every_setting_in_deploy_is_a_documented_one(name: str) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    used = set(re.findall(r"PEERNOTES_[A-Z_]+", (DEPLOY / name).read_text()))
    assert used
    assert sorted(each for each in used if f"| `{each}` |" not in text) == []


def test_the_proxy_logs_no_address() -> None:
    lines = (DEPLOY / "nginx.conf").read_text().splitlines()
    formats = [line for line in lines if "log_format" in line]
    assert {name for line in formats for name in re.findall(r"\$(\w+)", line)} == LOGGED
    logs = [line.split() for line in lines if re.match(r"\s*(access|error)_log", line)]
    assert [words[2].rstrip(";") for words in logs] == ["crit", "quiet"]


def test_the_image_runs_pinned_packages_without_root() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    assert "--require-hashes -r requirements/run.txt" in text
    assert re.search(r"^USER peernotes$", text, re.MULTILINE)


def test_no_password_stands_in_a_file() -> None:
    for name, text in (
        (path.name, path.read_text()) for path in DEPLOY.iterdir() if path.is_file()
    ):
        assert not re.search(r"PASSWORD=\S", text), name


def test_every_file_of_deploy_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    names = {path.name for path in DEPLOY.iterdir() if path.is_file()}
    assert sorted(name for name in names if f"deploy/{name}" not in text) == []
