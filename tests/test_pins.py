"""What is installed is pinned by hash, and names no place to get it from."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = sorted((ROOT / "requirements").glob("*.txt"))
REQUIREMENT = re.compile(r"^([a-z0-9._-]+)==(\S+)( ; .+?)? \\$", re.MULTILINE)
LOCKS = sorted(ROOT.glob("tablet/package-lock.json"))
SETTINGS = sorted(path for path in ROOT.glob("tablet/.npmrc"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name)[0]).lower()


def pinned(file: Path) -> set[str]:
    return {normal(name) for name, *_ in REQUIREMENT.findall(file.read_text())}


def test_there_is_no_lock_that_records_its_index():
    assert [*ROOT.rglob("uv.lock"), *ROOT.rglob("poetry.lock"), *ROOT.rglob("Pipfile.lock")] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_requirements_hold_no_address_and_no_option(file):
    for line in file.read_text().splitlines():
        assert "://" not in line
        assert not line.startswith("-")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_requirement_is_pinned_and_hashed(file):
    requirements = re.split(r"\n(?=\S)", file.read_text().strip())
    for requirement in requirements:
        first, *hashes = requirement.splitlines()
        assert REQUIREMENT.fullmatch(first), first
        assert hashes, first
        for line in hashes:
            assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line), first


def test_every_dependency_is_pinned():
    declared = {normal(name) for name in PROJECT["project"]["dependencies"]}
    groups = PROJECT["dependency-groups"]
    built = {normal(name) for name in groups["build"]}
    tested = {normal(name) for name in groups["test"]}
    run, test = (pinned(ROOT / "requirements" / f"{name}.txt") for name in ("run", "test"))
    assert declared | built <= run
    assert declared | built | tested <= test


def test_tests_run_on_what_is_served():
    """Both files pin a package that they share to the same version."""
    versions = [
        {normal(name): version for name, version, _ in REQUIREMENT.findall(file.read_text())}
        for file in FILES
    ]
    for name in set.intersection(*(set(each) for each in versions)):
        assert len({each[name] for each in versions}) == 1, name


def test_the_tablets_lock_holds_digests_and_no_addresses_of_packages():
    for lock in LOCKS:
        assert '"resolved"' not in lock.read_text()
        assert '"integrity"' in lock.read_text()
    for settings in SETTINGS:
        for line in settings.read_text().splitlines():
            assert not re.match(r"\s*([@:\w/-]*:)?registry\s*=", line)
