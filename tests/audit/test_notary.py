"""The notary signs growth it has checked itself, and refuses what an administrator did with SQL."""

import json
import threading
import time
from collections.abc import Callable

import pytest
from hands import ORIGIN, Log, Make, rebuild

from service.audit import notary, search, sequencer
from service.audit.checkpoint import Policy, VerifierKey, open_note
from service.audit.compare import Finding, compare
from service.audit.entry import Entry, parse
from service.audit.ingest import row
from service.audit.notary import Notary, create, verifier_key
from service.audit.verify import HOLDS, TAMPERED, Report, verify_log
from service.errors import KeysRefused, PeernotesError, Tampered

KEY_FILE = "key.pem"


def filled(log: Log, make: Make, count: int = 40) -> list[Entry]:
    """Both lanes in use: reads in a stream, and writes whose commit was acknowledged."""
    reads, writes = [make() for _ in range(count)], [make() for _ in range(count)]
    group = log.group()
    group.start()
    for read in reads:
        group.submit([read])
    for write in writes:
        group.acknowledge(log.write(write))
    group.close()
    return reads + writes


def verified(log: Log, since: str | None = None) -> Report:
    """The verdict of the offline verifier over what the database serves."""
    policy = Policy.parse(f"log {verifier_key(log.directory)}\nquorum none\n")
    saved = since and open_note(since, policy.keys)
    with log.opener.read() as connection:
        return verify_log(lambda path: search.served(connection, path), policy, saved or None)


def note(log: Log) -> str:
    with log.opener.read() as connection:
        return search.checkpoint(connection) or ""


def findings(log: Log) -> list[Finding]:
    with log.opener.read() as connection:
        return compare(connection, log.ledger, log.clock())


def hashes(log: Log) -> list[bytes]:
    return [r.leaf_hash for r in log.sql("SELECT leaf_hash FROM ledger_leaf ORDER BY seq")]


def key(log: Log, identity: str) -> str:
    return identity.replace("-", "") if log.sqlite else identity


def refused(log: Log) -> None:
    with pytest.raises(Tampered):
        log.notary.step()
    assert log.one("SELECT state FROM ledger_log") == "frozen"
    with pytest.raises(Tampered):  # for good: setting the state back does not help
        log.notary.step()
    with pytest.raises(Tampered):
        log.sequence()


def test_what_is_signed_verifies_with_the_published_key(log: Log, make: Make) -> None:
    filled(log, make)
    signed = log.sign()
    assert signed is not None
    assert signed == open_note(note(log), [VerifierKey.parse(verifier_key(log.directory))])
    assert (signed.origin, signed.size) == (ORIGIN, len(hashes(log)))
    assert log.notary.step() is None
    report = verified(log)
    assert report.verdict == HOLDS, list(report.lines())
    assert findings(log) == []


def test_growth_over_many_tiles_verifies_from_every_saved_checkpoint(log: Log, make: Make) -> None:
    saved = []
    for count in (1, 255, 1, 300, 700):
        log.write(*(make() for _ in range(count)))
        log.sign()
        saved.append(note(log))
    for since in saved:
        report = verified(log, since)
        assert report.verdict == HOLDS, list(report.lines())


def test_nothing_is_signed_for_an_empty_log(log: Log) -> None:
    assert log.sign() is None
    assert note(log) == ""


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("leaf", b"{}"), ("mac", bytes(32)), ("patient", "4" * 32), ("agent", "nobody"),
        ("action", "search"), ("kind", "login"), ("outcome", 4), ("recorded", 1), ("n", 99),
        ("stream", "5" * 32), ("log", 2),
    ],
)  # fmt: skip
def test_an_edited_entry_is_refused_before_it_is_signed(
    log: Log, make: Make, column: str, value: object
) -> None:
    victim = filled(log, make)[3]
    log.sequence()
    edit(log, victim, column, value)
    refused(log)
    assert any(f.where for f in findings(log))


@pytest.mark.parametrize(
    ("column", "value"), [("patient", "4" * 32), ("agent", "nobody"), ("mac", bytes(32))]
)
def test_an_edited_copy_is_found_after_it_is_signed(
    log: Log, make: Make, column: str, value: object
) -> None:
    victim = filled(log, make)[3]
    log.sign()
    edit(log, victim, column, value)
    seq = log.one("SELECT seq FROM ledger_leaf WHERE entry = :id", id=key(log, victim.id))
    assert [f.where for f in findings(log)] == [str(seq)]


def test_an_edited_leaf_is_named_by_the_verifier(log: Log, make: Make) -> None:
    victim = filled(log, make)[7]
    log.sign()
    other = row(log.ledger, make())
    edit(log, victim, "leaf", other.leaf)
    edit(log, victim, "mac", other.mac)
    report = verified(log)
    seq = log.one("SELECT seq FROM ledger_leaf WHERE entry = :id", id=key(log, victim.id))
    assert report.verdict == TAMPERED
    assert report.first_bad == seq


def test_an_edited_entry_under_a_rebuilt_tree_is_refused(log: Log, make: Make) -> None:
    """Even a forger who has the ingest key, and rebuilds all that the database holds."""
    victim = filled(log, make)[7]
    log.sign()
    saved = note(log)
    seq = log.one("SELECT seq FROM ledger_leaf WHERE entry = :id", id=key(log, victim.id))
    leaf = log.one("SELECT leaf FROM ledger_entry WHERE id = :id", id=key(log, victim.id))
    forged = row(log.ledger, make(), parse(leaf)[1])
    edit(log, victim, "leaf", forged.leaf)
    edit(log, victim, "mac", forged.mac)
    rebuild(log, [*hashes(log)[:seq], forged.leaf_hash, *hashes(log)[seq + 1 :]])
    assert verified(log, saved).verdict == TAMPERED
    log.write(make())
    log.sequence()
    refused(log)


def test_a_deleted_tail_is_refused(log: Log, make: Make) -> None:
    filled(log, make)
    log.sign()
    saved = note(log)
    rebuild(log, hashes(log)[:-5])
    log.sql("DELETE FROM ledger_checkpoint")
    refused(log)
    assert verified(log, saved).verdict != HOLDS


def test_a_fork_that_grows_larger_is_refused(log: Log, make: Make) -> None:
    log.write(*(make() for _ in range(10)))
    log.sequence()
    short = hashes(log)
    log.write(*(make() for _ in range(5)))
    log.sign()
    rebuild(log, short)
    log.write(*(make() for _ in range(9)))
    log.sequence()
    refused(log)


def test_an_entry_put_into_the_tree_by_hand_is_refused(log: Log, make: Make) -> None:
    log.write(make())
    log.sign()
    forged = row(log.ledger, make())
    log.write(forged.entry)
    log.sql("UPDATE ledger_entry SET mac = :mac WHERE id = :id",
            mac=bytes(32), id=key(log, forged.entry.id))  # fmt: skip
    log.sql("DELETE FROM ledger_pending")
    log.sql("INSERT INTO ledger_leaf VALUES (1, 1, :id, :h)",
            id=key(log, forged.entry.id), h=forged.leaf_hash)  # fmt: skip
    rebuild(log, [*hashes(log)[:1], forged.leaf_hash])
    refused(log)


@pytest.mark.parametrize("level", [0, 1])
def test_an_edited_tile_is_refused(log: Log, make: Make, level: int) -> None:
    log.write(*(make() for _ in range(300)))
    log.sequence()
    log.sql("UPDATE ledger_tile SET hashes = :h WHERE level = :l AND idx = 0",
            h=bytes(32 if level else 8_192), l=level)  # fmt: skip
    refused(log)


@pytest.mark.parametrize("change", ["root = :zero", "size = size + 1", "frontier = :zero"])
def test_an_edited_head_of_the_log_is_refused(log: Log, make: Make, change: str) -> None:
    log.write(make(), make(), make())
    log.sign()
    values = {"zero": bytes(32)} if ":zero" in change else {}
    log.sql(f"UPDATE ledger_log SET {change}", **values)
    refused(log)


def test_a_read_deleted_before_it_is_sequenced_leaves_a_gap_in_its_stream(
    log: Log, make: Make
) -> None:
    victim = filled(log, make)[3]
    log.sql("DELETE FROM ledger_pending WHERE id = :id", id=key(log, victim.id))
    assert log.sign() is not None  # the gap is attested, and the log goes on
    assert verified(log).faults
    assert Finding(victim.id, "is in no tree, and was taken out of the queue") in findings(log)


def test_a_gap_that_nobody_attests_is_refused(
    log: Log, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = filled(log, make)[3]
    log.sql("DELETE FROM ledger_pending WHERE id = :id", id=key(log, victim.id))
    monkeypatch.setattr(sequencer, "_attest", lambda *_: None)
    log.sequence()
    refused(log)


@pytest.mark.parametrize("deleted", ["place in the queue", "entry too"])
def test_a_write_deleted_before_it_is_sequenced_is_missed_by_a_beat(
    log: Log, make: Make, deleted: str
) -> None:
    victim = filled(log, make)[-1]
    log.sql("DELETE FROM ledger_pending WHERE id = :id", id=key(log, victim.id))
    if deleted == "entry too":
        log.sql("DELETE FROM ledger_entry WHERE id = :id", id=key(log, victim.id))
    log.sign()
    report = verified(log)
    assert report.verdict == TAMPERED
    assert "writes that the log does not have" in str(report.faults)
    assert bool(findings(log)) is (deleted != "entry too")


def test_an_entry_that_waits_too_long_is_found(
    log: Log, make: Make, clock: Callable[[], int]
) -> None:
    log.write(make())
    assert findings(log) == []
    clock.advance(61)  # type: ignore[attr-defined]
    assert len(findings(log)) == 1


def test_killed_between_memory_and_signature_it_signs_the_same_again(
    log: Log, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write(make())
    log.sequence()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(notary, "sign", die)
        log.notary.step()
    again = Notary(log.opener, log.ledger, log.directory, log.clock)
    signed = again.step()
    assert signed is not None
    assert signed.size == 1
    assert again.step() is None


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_lost_checkpoint_is_signed_again_byte_for_byte(log: Log, make: Make) -> None:
    log.write(make())
    log.sign()
    first = note(log)
    log.sql("DELETE FROM ledger_checkpoint")
    log.notary.step()
    assert note(log) == first


def test_a_checkpoint_somebody_else_stored_is_refused(log: Log, make: Make) -> None:
    log.write(make())
    log.sequence()
    log.sql("INSERT INTO ledger_checkpoint VALUES (1, 1, 'forged', 0)")
    refused(log)


def test_two_notaries_over_one_directory_do_not_disagree(log: Log, make: Make) -> None:
    notaries = [Notary(log.opener, log.ledger, log.directory, log.clock) for _ in range(4)]
    failed: list[Exception] = []

    def work(each: Notary) -> None:
        try:
            for _ in range(20):
                each.step()
        except PeernotesError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(each,)) for each in notaries]
    for thread in threads:
        thread.start()
    for _ in range(30):
        log.write(make())
        log.sequence()
    for thread in threads:
        thread.join()
    log.notary.step()
    assert not failed
    assert verified(log).verdict == HOLDS


def test_another_log_is_not_signed_for(log: Log, make: Make) -> None:
    log.write(make())
    log.sequence()
    log.sql("UPDATE ledger_log SET origin = 'log.example/other/2'")
    refused(log)


def test_its_key_is_its_own(log: Log) -> None:
    path = log.directory / KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o400
    path.chmod(0o440)
    with pytest.raises(KeysRefused):
        Notary(log.opener, log.ledger, log.directory, log.clock)
    path.chmod(0o400)
    with pytest.raises(KeysRefused):
        create(log.directory, ORIGIN)


@pytest.mark.parametrize("damage", ["", "{", '{"origin": 1}', "root", "frontier"])
def test_without_its_memory_it_signs_nothing(log: Log, make: Make, damage: str) -> None:
    log.write(make(), make())
    log.sign()
    state = log.directory / "state.json"
    held = json.loads(state.read_text())
    state.write_text(json.dumps(held | {damage: held["root"][::-1]}) if damage in held else damage)
    log.write(make())
    log.sequence()
    with pytest.raises(KeysRefused):
        log.notary.step()
    assert log.one("SELECT count(*) FROM ledger_checkpoint") == 1


def test_as_a_thread_it_follows_the_log_and_ends(
    log: Log, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notary, "ROUND", 0.02)
    log.notary.start()
    for size in (1, 2, 3):
        log.write(make())
        log.sequence()
        deadline = time.monotonic() + 5
        while f"\n{size}\n" not in note(log) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert f"\n{size}\n" in note(log)
    assert log.notary.healthy
    log.notary.close()
    assert not log.notary._thread.is_alive()


def edit(log: Log, entry: Entry, column: str, value: object) -> None:
    if column in {"patient", "stream"} and not log.sqlite:
        hexed = str(value)
        value = f"{hexed[:8]}-{hexed[8:12]}-{hexed[12:16]}-{hexed[16:20]}-{hexed[20:]}"
    statement = f"UPDATE ledger_entry SET {column} = :value WHERE id = :id"
    log.sql(statement, value=value, id=key(log, entry.id))
