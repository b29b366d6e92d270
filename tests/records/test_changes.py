"""Sequence numbers follow commit order, whoever commits late, and survive a restore elsewhere."""

from sqlalchemy import select, update

from service.records import changes
from service.records.tables import change_base, resource
from tests.records.conftest import Store, caseload, encounter, entry, make, new_id, patient, view


def pulled(store: Store, after: int, **options: object) -> list[changes.Change]:
    with store.opener.read() as connection:
        return changes.changed(connection, view(store.clock(), **options), after, 100)


def test_a_cursor_sees_every_change_once_and_in_order(store: Store) -> None:
    subject = store.put(patient())
    sent = encounter(subject)
    store.put(sent)
    first = pulled(store, 0)
    assert [one.type for one in first] == ["Patient", "Encounter"]
    assert [one.seq for one in first] == sorted({one.seq for one in first})
    assert pulled(store, first[-1].seq) == []
    with store.act() as records:
        records.delete("Encounter", sent["id"], entry=entry())
    [gone] = pulled(store, first[-1].seq)
    assert (gone.id, gone.version, gone.deleted) == (sent["id"], 2, True)


def test_changes_pass_the_read_predicate(store: Store) -> None:
    store.put(patient())
    assert pulled(store, 0, reach=caseload(new_id())) == []


def test_changes_can_be_narrowed_to_types(store: Store) -> None:
    subject = store.put(patient())
    store.put(encounter(subject))
    with store.opener.read() as connection:
        found = changes.changed(connection, view(store.clock()), 0, 9, "Patient")
    assert [one.type for one in found] == ["Patient"]


def test_many_writes_of_one_act_are_numbered_apart(store: Store) -> None:
    with store.act() as records:
        for _ in range(5):
            make(records, patient())
    assert len({one.seq for one in pulled(store, 0)}) == 5
    found, after = [], 0
    with store.opener.read() as connection:
        while page := changes.changed(connection, view(store.clock()), after, 2):
            found += page
            after = page[-1].seq
    assert len(found) == 5


def test_a_late_commit_is_not_passed_over(store: Store) -> None:
    """The earlier transaction commits last: a reader in between must come back for it."""
    if store.opener._engine.dialect.name == "sqlite":
        return  # one writer: no transaction is open while another commits
    with store.act() as slow:
        late = make(slow, patient())
        early = store.put(patient())
        between = pulled(store, 0)
        assert early not in [one.id for one in between]  # not yet: something below may come
        after = between[-1].seq if between else 0
    assert [one.id for one in pulled(store, after)] == [late, early]


def test_a_restore_into_a_new_cluster_never_runs_backwards(store: Store) -> None:
    store.put(patient())
    [before] = pulled(store, 0)
    with store.opener.write() as connection:  # as if this cluster had counted far less than that
        high = before.seq + (1 << 50)
        connection.execute(update(resource).values(seq=high))
        changes.settle(connection)
    store.put(patient())
    [after] = pulled(store, high)
    assert after.seq > high
    with store.opener.write() as connection:
        base = connection.execute(select(change_base.c.base)).scalar_one()
        changes.settle(connection)
        assert connection.execute(select(change_base.c.base)).scalar_one() == base


def test_nothing_is_written_before_the_base_is_settled(store: Store) -> None:
    with store.opener.write() as connection:
        connection.execute(change_base.delete())
    try:
        store.put(patient())
    except Exception:  # noqa: BLE001 (each database refuses in its own words)
        refused = True
    else:
        refused = False
    assert refused
