"""A start that would be unsafe or cannot work is refused: nothing is written, and it says why."""

import json
import socket
import time
from pathlib import Path

import pytest
from commands import environment, free_port, here, serving, started, terminated

PRODUCTION = {
    "PEERNOTES_MODE": "production",
    "PEERNOTES_BASE_URL": "https://notes.example",
    "PEERNOTES_TLS_BEHIND_PROXY": "yes",
}


def refused(environ: dict[str, str], *words: str, command: str = "run") -> None:
    code, said = here(environ, command)
    assert code == 1
    assert said.startswith("peernotes: ")
    assert [word for word in words if word not in said] == []


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path): (path.stat().st_mode, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (PRODUCTION | {"PEERNOTES_BASE_URL": "http://notes.example"}, ["PEERNOTES_BASE_URL=https"]),
        (PRODUCTION | {"PEERNOTES_TLS_BEHIND_PROXY": "no"}, ["PEERNOTES_TLS_BEHIND_PROXY=yes"]),
        ({"PEERNOTES_HOST": "0.0.0.0"}, ["this machine only", "127.0.0.1"]),  # noqa: S104
        ({"PEERNOTES_WORKERS": "2"}, ["SQLite", "PEERNOTES_WORKERS", "PostgreSQL"]),
        ({"PEERNOTES_PORT": "99999"}, ["PEERNOTES_PORT", "65535"]),
        ({"PEERNOTES_MODE": "test"}, ["demo or production"]),
        ({"PEERNOTES_ZONE": "Mars/Olympus"}, ["PEERNOTES_ZONE"]),
        ({"PEERNOTES_LOG_LEVEL": "loud"}, ["PEERNOTES_LOG_LEVEL"]),
        ({"PEERNOTES_MACHINES": "maybe"}, ["PEERNOTES_MACHINES is yes or no"]),
        ({"PEERNOTES_DATABASE_URL": "mysql://x"}, ["PEERNOTES_DATABASE_URL"]),
        ({"PEERNOTES_HOST": "256.0.0.1", **PRODUCTION}, ["PEERNOTES_HOST"]),
    ],
    ids=[
        "http",
        "no-proxy",
        "open-demo",
        "workers",
        "port",
        "mode",
        "zone",
        "level",
        "machines",
        "database",
        "host",
    ],
)
def test_unsafe_settings_are_refused_before_anything_is_made(
    lite: dict[str, str], settings: dict[str, str], words: list[str]
) -> None:
    refused(lite | settings, *words)
    assert not Path(lite["PEERNOTES_DATA_DIR"]).exists()


def test_a_port_in_use_is_named_before_anything_is_made(lite: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(lite["PEERNOTES_PORT"])))
        other.listen()
        refused(lite, lite["PEERNOTES_PORT"], "is in use", "PEERNOTES_PORT")
    assert not Path(lite["PEERNOTES_DATA_DIR"]).exists()


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(environment(tmp_path / "file" / "var"), "cannot be made", "PEERNOTES_DATA_DIR")


def test_a_database_that_does_not_answer_is_said(lite: dict[str, str]) -> None:
    url = f"postgresql://nobody:secret@127.0.0.1:{free_port()}/none"
    code, said = here(lite | {"PEERNOTES_DATABASE_URL": url}, "run")
    assert code == 1
    assert "does not answer" in said
    assert "PEERNOTES_DATABASE_URL" in said
    assert "secret" not in said
    assert not (Path(lite["PEERNOTES_DATA_DIR"]) / "keys").exists()


@pytest.fixture
def house(lite: dict[str, str]) -> dict[str, str]:
    """A house that has been set up."""
    assert here(lite, "setup")[0] == 0
    return lite


@pytest.mark.parametrize("trouble", ["missing", "readable", "other", "empty"])
def test_a_keyring_that_does_not_fit_writes_nothing(
    house: dict[str, str], tmp_path: Path, trouble: str
) -> None:
    var = Path(house["PEERNOTES_DATA_DIR"])
    keyring = var / "keys" / "keyring.json"
    match trouble:
        case "missing":
            keyring.unlink()
        case "readable":
            keyring.chmod(0o644)
        case "empty":
            keyring.write_text("")
        case "other":
            assert here(environment(tmp_path / "other"), "setup")[0] == 0
            keyring.write_bytes((tmp_path / "other" / "keys" / "keyring.json").read_bytes())
    before = files(var)
    for command in ("run", "setup", "notary"):
        refused(house, "keyring", command=command)
    assert files(var) == before


def test_production_refuses_what_demo_made_and_demo_what_production_made(
    house: dict[str, str], tmp_path: Path
) -> None:
    refused(house | PRODUCTION, "demo", "PEERNOTES_DATA_DIR")
    (Path(house["PEERNOTES_DATA_DIR"]) / "demo").mkdir()
    refused(house | PRODUCTION, "demo accounts")
    real = environment(tmp_path / "real")
    assert here(real | PRODUCTION, "setup")[0] == 0
    refused(real, "production", "PEERNOTES_MODE=production")


def test_it_starts_stops_and_starts_again(environ: dict[str, str]) -> None:
    for _ in range(2):
        process = started(environ, "run")
        try:
            serving(environ, process)
        finally:
            assert terminated(process) == 0
    staff = Path(environ["PEERNOTES_DATA_DIR"]) / "demo" / "staff.json"
    assert staff.stat().st_mode & 0o077 == 0
    assert json.loads(staff.read_text())


def verified(environ: dict[str, str]) -> bool:
    """Whether what is in the ledger gets signed within some seconds."""
    for _ in range(200):
        if here(environ, "ledger", "verify")[0] == 0:
            return True
        time.sleep(0.1)
    return False


def test_the_machines_run_apart_from_the_service(environ: dict[str, str]) -> None:
    apart = environ | {"PEERNOTES_MACHINES": "no"}
    refused(apart, "not set up yet", command="notary")
    service = started(apart, "run")
    notary = None
    try:
        serving(apart, service)
        folder = Path(apart["PEERNOTES_DATA_DIR"]) / "notary"
        assert not folder.exists()
        notary = started(apart, "notary")
        assert verified(apart)
    finally:
        codes = [terminated(each) for each in (service, notary) if each]
    assert codes == [0, 0]
    folder.rename(folder.with_name("lost"))
    refused(apart, "restore", command="notary")  # a new one would sign a second past
    assert not folder.exists()
