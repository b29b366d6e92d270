"""Transactions commit what ended well, and nothing else."""

import pytest
from sqlalchemy import Engine, text

from service.database.engine import demand_durability
from service.database.transactions import Transactions


@pytest.fixture
def things(engine: Engine) -> Transactions:
    opener = Transactions(engine)
    with opener.write() as connection:
        connection.execute(text("CREATE TABLE thing (n integer)"))
    return opener


def count(opener: Transactions) -> int:
    with opener.read() as connection:
        return connection.execute(text("SELECT count(*) FROM thing")).scalar_one()


def test_a_block_that_ends_commits(things: Transactions) -> None:
    with things.write() as connection:
        connection.execute(text("INSERT INTO thing VALUES (1)"))
    assert count(things) == 1


def test_a_block_that_raises_leaves_nothing(things: Transactions) -> None:
    with pytest.raises(RuntimeError), things.write() as connection:
        connection.execute(text("INSERT INTO thing VALUES (1)"))
        raise RuntimeError
    assert count(things) == 0


def test_a_read_sees_one_snapshot_while_others_write(things: Transactions) -> None:
    with things.read() as reader:
        before = reader.execute(text("SELECT count(*) FROM thing")).scalar_one()
        with things.write() as writer:
            writer.execute(text("INSERT INTO thing VALUES (1)"))
        assert reader.execute(text("SELECT count(*) FROM thing")).scalar_one() == before
    assert count(things) == 1


def test_the_database_keeps_what_it_acknowledges(opener: Transactions) -> None:
    with opener.read() as connection:
        demand_durability(connection)
