"""One town a module, on each database."""

from collections.abc import Iterator

import pytest

from tests.demo_house import Town, empty_database, opened


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def town(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    folder = tmp_path_factory.mktemp("town")
    if request.param == "sqlite":
        with opened("", folder) as town:
            yield town
        return
    server = request.getfixturevalue("postgresql_server")
    with empty_database(server) as url, opened(url, folder) as town:
        yield town
