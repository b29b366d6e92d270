"""The searches that matter read an index and nothing else, on both databases."""

import random
from typing import Any

import pytest
from searching import House, asked, guid, put, searcher
from sqlalchemy import Connection, Engine, event, text

from service.database.transactions import Transactions


def plan(connection: Connection, *pairs: tuple[str, str]) -> str:
    """How the database runs the page of this search."""
    kind = connection.dialect.name
    how = "EXPLAIN QUERY PLAN " if kind == "sqlite" else "EXPLAIN "
    asked_for: list[tuple[str, Any]] = []

    def listen(_c: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        asked_for.append((statement, values))

    event.listen(connection, "before_cursor_execute", listen)
    searcher(connection).page(asked("DocumentReference", *pairs))
    event.remove(connection, "before_cursor_execute", listen)
    statement, values = asked_for[-1]
    rows = connection.exec_driver_sql(how + statement, values).all()
    return "\n".join(str(row[-1]) for row in rows)


@pytest.fixture
def busy(opener: Transactions, engine: Engine) -> Transactions:
    """One participant among many, with statistics."""
    house = House(seed=5, size=300)
    dice = random.Random(5)  # noqa: S311 (a test)
    with opener.write() as connection:
        for number, (_, document) in enumerate(house.documents):
            put(connection, document, guid(dice) if number % 9 else house.patients[0], seq=number)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return opener


PATIENT = House(seed=5, size=1).patients[0]
SEARCHES = {
    "newest": (),
    "by category": (("category", "note"),),
    "by category and date": (("category", "note"), ("date", "ge2025-01-01")),
    "by period": (("period", "2025-02"),),
    "by author": (("author", guid(random.Random(1))),),  # noqa: S311 (a test)
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_within_a_participant_reads_indexes_alone(busy: Transactions, name: str) -> None:
    with busy.read() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        found = plan(connection, ("patient", PATIENT), *SEARCHES[name])
    assert "Seq Scan" not in found
    assert "SCAN r" not in found
    assert "SCAN ix_" not in found
    assert "USING INDEX" in found or "Index" in found


def test_the_newest_of_a_participant_need_no_sorting_on_sqlite(busy: Transactions) -> None:
    with busy.read() as connection:
        if connection.dialect.name != "sqlite":
            pytest.skip("PostgreSQL chooses by cost")
        found = plan(connection, ("patient", PATIENT), ("category", "note"))
    assert "ix_resource_main_date" in found
    assert "ix_token" in found or "sqlite_autoindex_ix_token" in found or "PRIMARY KEY" in found
