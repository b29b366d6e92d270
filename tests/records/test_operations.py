"""An operation is answered once; its replay gets that answer, and nobody else does."""

import pytest

from service.errors import Conflict
from service.records import operations
from tests.records.conftest import Store, new_id


def test_a_replay_finds_the_first_answer(store: Store) -> None:
    op_id, me, device = new_id(), new_id(), new_id()
    told = {
        "op_id": op_id, "principal": me, "device": device, "number": 7, "sha256": "ab" * 32,
        "status": "applied", "received": store.clock(), "result": b'{"version":1}',
    }  # fmt: skip
    with store.opener.write() as connection:
        assert operations.find(connection, store.keyring, op_id) is None
        operations.record(connection, store.keyring, **told)
    with store.opener.write() as connection:
        found = operations.find(connection, store.keyring, op_id)
        assert found is not None
        assert (found.status, found.number, found.result) == ("applied", 7, b'{"version":1}')
        assert found.matches(store.keyring, "ab" * 32, me)
        assert not found.matches(store.keyring, "cd" * 32, me)
        assert not found.matches(store.keyring, "ab" * 32, new_id())
        with pytest.raises(Conflict):
            operations.record(connection, store.keyring, **told)
