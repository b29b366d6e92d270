"""Empty databases of each kind, and the command line as an operator uses it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Loaded, environment, load
from demo_house import empty_database

Load = Callable[..., Loaded]


@pytest.fixture(params=["sqlite", "postgresql"])
def environ(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """PEERNOTES_ variables of a house that has never been started."""
    if request.param == "sqlite":
        yield environment(tmp_path / "var")
        return
    with empty_database(request.getfixturevalue("postgresql_server")) as url:
        yield environment(tmp_path / "var", url)


@pytest.fixture
def lite(tmp_path: Path) -> dict[str, str]:
    """The same on SQLite alone, where the database makes no difference."""
    return environment(tmp_path / "var")


@pytest.fixture
def loads(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Load:
    """`peernotes import`, in this process."""
    return lambda directory, *flags: load(environ, directory, *flags, capsys=capsys)
