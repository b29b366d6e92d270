"""Whatever was committed is in the tree once, in the order of its stream; junk stops nothing."""

import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from hands import Log, Make, in_order
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from service.audit import intake
from service.audit.append import append
from service.audit.entry import Kind, parse
from service.audit.ingest import Row, row, write
from service.audit.sequencer import Sequencer, sequence
from service.audit.stream import Stream
from service.database.ids import uuid7
from service.errors import Tampered
from service.vocabulary import EntryId, Micros


def kinds(log: Log) -> list[Kind]:
    return [parse(leaf)[0].kind for leaf in in_order(log)]


def put(log: Log, rows: list[Row]) -> None:
    with log.opener.write() as connection:
        write(connection, log.ledger, rows, queue=True)


def test_all_that_was_committed_is_in_the_tree_once(log: Log, make: Make) -> None:
    written = [make() for _ in range(700)]
    for start in range(0, 700, 100):
        log.write(*written[start : start + 100])
        log.sequence()
    assert {parse(leaf)[0].id for leaf in in_order(log)} == {e.id for e in written}
    assert log.one("SELECT count(*) FROM ledger_pending") == 0
    assert log.sequence() == 0


@pytest.mark.parametrize("most", [3, 8_192])
@given(data=st.data())
@settings(
    max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_a_stream_keeps_its_order_whatever_ids_its_callers_chose(
    log: Log, make: Make, most: int, data: st.DataObject
) -> None:
    """The queue is cut by id; neither the cut nor the batches part a stream."""
    made = [make(id=EntryId(str(uuid4()))) for _ in range(12)]
    stream = Stream(log.ledger)
    rows = [stream.opening(log.clock()), *(stream.place(entry) for entry in made)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intake, "MOST_TOGETHER", most)
        patch.setattr(intake, "MOST_TOGETHER_SQLITE", most)
        for low, high in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            if rows[low:high]:
                put(log, rows[low:high])
            log.sequence()
        while log.sequence():
            pass
    of_stream = [p.n for _, p in map(parse, in_order(log)) if p and p.stream == stream.id]
    assert of_stream == list(range(len(rows)))
    assert Kind.LEDGER_GAP not in kinds(log)


def test_a_late_commit_is_not_skipped(log: Log, make: Make) -> None:
    """Ids are older than what was sequenced meanwhile: a queue has no cursor to pass them."""
    if log.sqlite:
        early = make(id=EntryId(uuid7(Micros(1_000_000))))  # one writer: only ids can be late
        log.write(make())
        log.sequence()
        log.write(early)
    else:
        early = make()
        with log.opener.write() as connection:
            append(connection, log.ledger, [early])
            log.clock.advance(1)  # type: ignore[attr-defined]
            log.write(make())
            assert log.sequence() == 1
    assert log.sequence() == 1
    assert parse(in_order(log)[1])[0].id == early.id


def test_several_sequencers_at_once_number_without_gap_or_double(log: Log, make: Make) -> None:
    sequencers = [Sequencer(log.opener, log.ledger, log.clock) for _ in range(8)]
    for each in sequencers:
        each.start()
    for _ in range(40):
        log.write(*(make() for _ in range(10)))
    deadline = time.monotonic() + 20
    while log.one("SELECT count(*) FROM ledger_pending") and time.monotonic() < deadline:
        time.sleep(0.02)
    for each in sequencers:
        assert each.healthy
        each.close()
    assert len(in_order(log)) == 400
    assert not any(each._thread.is_alive() for each in sequencers)


def test_a_row_the_service_did_not_write_stays_behind_and_is_told_of(log: Log, make: Make) -> None:
    forged, honest = make(), make()
    log.write(forged, honest)
    log.sql(
        "UPDATE ledger_entry SET mac = :mac WHERE id = :id", mac=bytes(32), id=key(log, forged.id)
    )
    assert log.sequence() == 2
    assert kinds(log) == [Kind.USE, Kind.LEDGER_REJECT]
    told = parse(in_order(log)[1])[0]
    assert dict(told.details) == {"count": 1, "entry": forged.id}
    assert log.one("SELECT count(*) FROM ledger_pending WHERE bad") == 1
    assert log.sequence() == 0


def test_a_queued_id_without_an_entry_is_told_of(log: Log) -> None:
    log.sql(
        "INSERT INTO ledger_pending (id, log, bad) VALUES (:id, 1, false)",
        id=key(log, str(uuid4())),
    )
    log.sequence()
    assert kinds(log) == [Kind.LEDGER_REJECT]


@pytest.mark.parametrize("table", ["ledger_pending", "ledger_entry"])
def test_an_entry_taken_out_of_a_stream_is_told_of(log: Log, make: Make, table: str) -> None:
    group = log.group()
    group.start()
    victim = make()
    group.submit([victim])
    group.submit([make()])
    group.close()
    log.sql(f"DELETE FROM {table} WHERE id = :id", id=key(log, victim.id))
    log.sequence()
    assert Kind.LEDGER_GAP in kinds(log)
    assert log.one("SELECT count(*) FROM ledger_pending WHERE NOT bad") == 0


def test_an_edited_row_of_a_stream_is_rejected_and_the_rest_goes_on(log: Log, make: Make) -> None:
    group = log.group()
    group.start()
    victim = make()
    group.submit([victim])
    group.submit([make()])
    group.close()
    log.sql(
        "UPDATE ledger_entry SET leaf = :leaf WHERE id = :id",
        leaf=row(log.ledger, make()).leaf, id=key(log, victim.id),
    )  # fmt: skip
    log.sequence()
    assert {Kind.LEDGER_GAP, Kind.LEDGER_REJECT, Kind.STREAM_CLOSE} <= set(kinds(log))


def test_a_frozen_ledger_takes_nothing(log: Log, make: Make) -> None:
    log.write(make())
    log.sql("UPDATE ledger_log SET state = 'frozen'")
    with pytest.raises(Tampered):
        log.sequence()
    assert log.one("SELECT count(*) FROM ledger_pending") == 1


def test_what_another_transaction_holds_is_waited_for_not_called_a_gap(
    log: Log, make: Make, clock: Callable[[], Micros]
) -> None:
    if log.sqlite:
        pytest.skip("SQLite has one writer: nobody can hold a single row")
    stream = Stream(log.ledger)
    rows = [stream.opening(clock()), stream.place(make()), stream.place(make())]
    put(log, rows)
    with log.opener.write() as connection:
        held = {"id": rows[1].entry.id}
        connection.execute(text("SELECT 1 FROM ledger_pending WHERE id = :id FOR UPDATE"), held)
        assert sequence(log.opener, log.ledger, clock()) == 1
    assert log.sequence() == 2
    assert Kind.LEDGER_GAP not in kinds(log)


def key(log: Log, identity: str) -> str:
    return identity.replace("-", "") if log.sqlite else identity
