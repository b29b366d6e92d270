"""The offline verifier: what holds, each way of tampering, and that it stands alone."""

import random
import shutil
import subprocess
import sys
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import cryptography
import log_writer as logs
import pytest

from service.audit import checkpoint, tree, verify
from service.audit.checkpoint import Checkpoint, Policy
from service.audit.verify import HOLDS, TAMPERED, UNCHECKED, Report

SIZE = 700
LEAVES = logs.entries(SIZE)


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("written")
    logs.write_log(directory, LEAVES)
    return directory


@pytest.fixture
def log(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "log"))


def check(directory: Path, since: Checkpoint | None = None, policy: str = logs.POLICY) -> Report:
    def read(path: str) -> bytes | None:
        file = directory / path
        return file.read_bytes() if file.is_file() else None

    return verify.verify_log(read, Policy.parse(policy), since)


def saved(size: int) -> Checkpoint:
    return Checkpoint(logs.ORIGIN, size, logs.root(LEAVES[:size]))


def replace(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


def test_an_honest_log_holds(log):
    report = check(log)
    assert report.verdict == HOLDS, list(report.lines())
    assert not report.faults
    assert not report.missing
    assert "Verdict: HOLDS" in list(report.lines())
    assert any("never that the answer to a question is complete" in each for each in report.lines())


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 512, 700])
def test_every_earlier_checkpoint_is_consistent(log, size):
    report = check(log, saved(size))
    assert report.verdict == HOLDS, list(report.lines())


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 512])
def test_a_log_of_any_size_holds(tmp_path, size):
    logs.write_log(tmp_path, LEAVES[:size])
    for since in {0, size // 2, size}:
        assert check(tmp_path, saved(since)).verdict == HOLDS


def test_an_edited_entry_is_named(log):
    replace(log / "tile/entries/001", b'"action":"read"', b'"action":"reaf"')
    report = check(log)
    assert report.verdict == TAMPERED
    assert report.first_bad == 256 or 256 < report.first_bad < 260
    assert "is not what was logged" in report.faults[4][0]
    assert f"the first bad entry is {report.first_bad}" in list(report.lines())[-1]


def test_an_edited_entry_with_its_tiles_made_anew_breaks_the_signed_root(log):
    forged = [*LEAVES]
    forged[300] = logs.write_entry(300, agent=logs.identity(99))
    signed = (log / "checkpoint").read_text()
    logs.write_log(log, forged)
    (log / "checkpoint").write_text(signed)
    report = check(log)
    assert report.verdict == TAMPERED
    assert "another root" in report.faults[3][0]


def test_a_history_rewritten_and_signed_anew_breaks_the_saved_checkpoint(log):
    forged = [*LEAVES]
    forged[2] = logs.write_entry(2, agent=logs.identity(99))
    logs.write_log(log, forged)
    assert check(log).verdict == HOLDS  # why an officer saves checkpoints
    report = check(log, saved(256))
    assert report.verdict == TAMPERED
    assert "saved checkpoint" in report.faults[2][0]


def test_a_log_rolled_back_is_seen_by_its_size(log):
    logs.write_log(log, LEAVES[:600])
    assert check(log, saved(600)).verdict == HOLDS
    assert check(log, saved(601)).verdict == TAMPERED
    assert check(log, Checkpoint("other.example", 10, bytes(32))).verdict == TAMPERED


def test_an_edited_size_breaks_the_signature(log):
    replace(log / "checkpoint", b"\n700\n", b"\n600\n")
    report = check(log)
    assert report.verdict == TAMPERED
    assert list(report.faults) == [1]


def test_a_stranger_cannot_sign(log):
    other = logs.WITNESS_SECRET
    (log / "checkpoint").write_text(logs.note(LEAVES, other))
    assert check(log).verdict == TAMPERED
    (log / "checkpoint").write_text(logs.note(LEAVES, logs.KEY, "other.example"))
    assert check(log).verdict == TAMPERED


def test_the_witnesses_of_the_policy_must_have_signed(log):
    assert check(log, policy=logs.WITNESSED).verdict == TAMPERED
    now = Checkpoint(logs.ORIGIN, SIZE, logs.root(LEAVES))
    line = checkpoint.witness(now, logs.WITNESS, logs.WITNESS_SECRET, 1_773_324_000)
    with (log / "checkpoint").open("a") as file:
        file.write(line)
    assert check(log, policy=logs.WITNESSED).verdict == HOLDS
    assert check(log).verdict == HOLDS


@pytest.mark.parametrize("path", ["tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"])
def test_an_edited_tile_is_tampering(log, path):
    data = bytearray((log / path).read_bytes())
    data[40] ^= 1
    (log / path).write_bytes(data)
    assert check(log).verdict == TAMPERED
    (log / path).write_bytes(data[:-1])
    assert check(log).verdict == TAMPERED


@pytest.mark.parametrize("path", ["tile/entries/001", "tile/entries/002.p/188"])
def test_a_cut_bundle_is_tampering(log, path):
    data = (log / path).read_bytes()
    (log / path).write_bytes(data[:-1])
    assert check(log).verdict == TAMPERED


@pytest.mark.parametrize(
    "path", ["checkpoint", "tile/0/001", "tile/1/000.p/2", "tile/entries/000", "tile/0/002.p/188"]
)
def test_a_missing_file_is_no_verdict(log, path):
    (log / path).unlink()
    report = check(log, saved(300))
    assert report.verdict == UNCHECKED
    assert report.missing == [path]


def test_hashes_and_entries_missing_together_are_no_verdict(log):
    (log / "tile/0/001").unlink()
    (log / "tile/entries/001").unlink()
    report = check(log, saved(300))
    assert report.verdict == UNCHECKED, list(report.lines())
    assert "not reached" in list(report.lines())[2]


def test_full_tiles_stand_in_for_the_partial_they_replaced(log):
    logs.write_log(log, logs.entries(1_100))
    (log / "checkpoint").write_text(logs.note(LEAVES))
    for path in ("tile/0/002.p/188", "tile/entries/002.p/188"):
        (log / path).unlink()
    report = check(log)
    assert report.verdict == HOLDS, list(report.lines())


def relogged(log: Path, leaves: list[bytes]) -> Report:
    shutil.rmtree(log)
    logs.write_log(log, leaves)
    return check(log)


@pytest.mark.parametrize(
    "leaf",
    [
        b"", b"[]", b'"text"', b"not json", b'{"b":1,"a":2}', b'{"a":1, "b":2}', b'{"a":1,"a":1}',
        b'{"a":1.5}', b'{"a":1e3}', b'{"a":NaN}', b'{"a":9007199254740992}', b'{"a":"\\u00e9"}',
        '{"a":"é"}'.encode(), b'{"a":"\\n"}', b'{"a":"\x7f"}', b'{"a":"\\u0061"}', b'{"a":-0}',
        b'{"a":01}', b"[" * 30_000, b'{"a":' * 12_000, b'{"a":1}\n', b'{"a":"\\/"}', b"1" * 5_000,
    ],
)  # fmt: skip
def test_a_leaf_in_another_spelling_is_named(log, leaf):
    report = relogged(log, [*LEAVES[:300], leaf, *LEAVES[300:310]])
    assert report.verdict == TAMPERED
    assert report.faults[4] == ["entry 300 is not canonical JSON"]


@pytest.mark.parametrize("leaf", [b"{}", b'{"a":"\\"\\\\","b":[true,false,null,-5],"c":{"d":0}}'])
def test_a_canonical_leaf_is_taken(log, leaf):
    assert relogged(log, [*LEAVES[:300], leaf]).verdict == HOLDS


def test_a_row_taken_out_before_it_was_sequenced_leaves_a_gap(log):
    report = relogged(log, [*LEAVES[:300], *LEAVES[301:]])
    assert report.verdict == TAMPERED
    assert report.faults[6] == ["entry 302 hangs on position 100 of its stream, which is gone"]


def test_a_row_altered_before_it_was_sequenced_breaks_the_chain(log):
    forged = [*LEAVES]
    forged[300] = forged[300].replace(b'"role":"peer-specialist"', b'"role":"supervisor"')
    report = relogged(log, forged)
    assert report.faults[6] == ["entry 303 does not name the one before it in its stream"]


def test_a_position_taken_twice_is_named(log):
    report = relogged(log, [*LEAVES[:300], LEAVES[297], *LEAVES[300:]])
    assert report.faults[6] == ["entry 300 takes position 99 of its stream again"]


def test_half_a_position_is_named(log):
    report = relogged(log, [*LEAVES[:300], logs.write_entry(300, stream=logs.identity(1000), n=5)])
    assert report.faults[6] == ["entry 300 states half a position in a stream"]


def test_entries_of_a_stream_may_be_sequenced_late(log):
    swapped = [*LEAVES]
    swapped[300], swapped[303] = swapped[303], swapped[300]
    assert relogged(log, swapped).verdict == HOLDS


def beat(stream: logs.Stream, at: int, writes: list[bytes]) -> bytes:
    hashes = [tree.leaf_hash(leaf) for leaf in writes]
    details = {
        "count": len(hashes),
        "digest": sha256(b"".join(hashes)).hexdigest(),
        "prefixes": b64encode(b"".join(each[:6] for each in hashes)).decode(),
    }
    return stream.entry(at, kind="stream-beat", details=details)


def test_a_write_taken_out_before_it_was_sequenced_is_missed_by_the_beat(log):
    writes, stream = [logs.write_entry(n) for n in range(20)], logs.Stream()
    beats = [beat(stream, 20, writes[:12]), beat(stream, 21, []), beat(stream, 22, writes[12:])]
    assert relogged(log, [*writes, *beats]).verdict == HOLDS
    assert relogged(log, [*writes[:12], *beats, *writes[12:]]).verdict == HOLDS
    report = relogged(log, [*writes[:5], *writes[6:], *beats])
    assert report.faults[6] == ["entry 19 attests writes that the log does not have"]
    report = relogged(log, [*writes[:5], logs.write_entry(99), *writes[6:], *beats])
    assert report.faults[6] == ["entry 20 attests writes that the log does not have"]


def test_the_end_of_a_stream_cut_off_is_missed_by_the_next(log):
    first, second = logs.Stream(1), logs.Stream(2)
    before = [first.entry(n) for n in range(10)]
    details = {"predecessor": first.stream, "acknowledged": 8, "tried": 9}
    opening = second.entry(10, kind="stream-open", details=details)
    assert relogged(log, [*before, opening]).verdict == HOLDS
    assert relogged(log, [*before[:9], opening]).verdict == HOLDS  # tried, never acknowledged
    report = relogged(log, [*before[:8], opening])
    assert "another end of the stream before" in report.faults[6][0]


def test_an_entry_dated_back_is_flagged_and_no_fault(log):
    report = relogged(log, [*LEAVES[:300], logs.write_entry(300, at=logs.START - 5_000_000)])
    assert report.verdict == HOLDS
    assert report.told[9] == "FLAGGED: 1 entries are dated back, first 300"


def test_no_flipped_bit_of_any_file_goes_unseen(log):
    chance = random.Random(7)  # noqa: S311 (the same bits every time)
    files = sorted(path for path in log.rglob("*") if path.is_file())
    for _ in range(100):
        path = chance.choice(files)
        honest = path.read_bytes()
        at = chance.randrange(len(honest))
        path.write_bytes(
            honest[:at] + bytes([honest[at] ^ 1 << chance.randrange(8)]) + honest[at + 1 :]
        )
        assert check(log).verdict == TAMPERED, (path, at)
        path.write_bytes(honest)
    assert check(log).verdict == HOLDS


def test_only_the_first_faults_are_told_one_by_one(log):
    report = relogged(log, [b"x"] * 20)
    assert len(report.faults[4]) == 20
    assert any("15 faults more" in line for line in report.lines())


def test_the_command_line_tells_by_its_exit_code(log, tmp_path, capsys):
    policy, since = tmp_path / "policy", tmp_path / "since"
    policy.write_text(logs.POLICY)
    since.write_text(logs.note(LEAVES[:500]))
    words = [str(log), "--policy", str(policy), "--since", str(since)]
    assert verify.main(words) == HOLDS
    assert "nothing up to your 500 entries has changed" in capsys.readouterr().out
    assert verify.main([str(tmp_path / "nowhere"), "--policy", str(policy)]) == UNCHECKED
    assert verify.main([str(log), "--policy", str(tmp_path / "nowhere")]) == UNCHECKED
    policy.write_text("quorum none\nquorum none\n")
    assert verify.main(words) == UNCHECKED
    policy.write_text(logs.POLICY)
    since.write_text("nonsense")
    assert verify.main(words) == UNCHECKED
    replace(log / "tile/entries/000", b'"outcome":0', b'"outcome":4')
    assert verify.main(words[:3]) == TAMPERED
    assert "the first bad entry is 0" in capsys.readouterr().out
    with pytest.raises(SystemExit) as wrong:
        verify.main(["--policy", str(policy)])
    assert wrong.value.code == UNCHECKED


def test_one_proof_is_checked_by_itself(log, tmp_path):
    paths = [tmp_path / name for name in ("policy", "proof", "leaf")]
    proof = logs.proof(log, 300, SIZE, (log / "checkpoint").read_text())
    for path, data in zip(
        paths, (logs.POLICY.encode(), proof.text().encode(), LEAVES[300]), strict=True
    ):
        path.write_bytes(data)
    words = ["--policy", str(paths[0]), "--proof", str(paths[1]), "--leaf", str(paths[2])]
    assert verify.main(words) == HOLDS
    paths[2].write_bytes(LEAVES[301])
    assert verify.main(words) == TAMPERED
    paths[2].unlink()
    assert verify.main(words) == UNCHECKED


def test_three_files_copied_alone_verify_with_cryptography_and_nothing_else(log, tmp_path):
    alone, packages = tmp_path / "alone", tmp_path / "packages"
    alone.mkdir()
    packages.mkdir()
    for name in ("tree.py", "checkpoint.py", "verify.py"):
        shutil.copy(Path(verify.__file__).parent / name, alone)
    site = Path(cryptography.__file__).parents[1]
    for name in (site / "cryptography", *site.glob("_cffi_backend*")):
        (packages / name.name).symlink_to(name)
    (tmp_path / "policy").write_text(logs.POLICY)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-S", "-s", "-W", "error", str(alone / "verify.py"), *words],
            env={"PYTHONPATH": str(packages)}, cwd=tmp_path, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    done = run(str(log), "--policy", "policy")
    assert done.returncode == HOLDS, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "Verdict: HOLDS"
    replace(log / "tile/entries/000", b'"outcome":0', b'"outcome":4')
    assert run(str(log), "--policy", "policy").returncode == TAMPERED
    assert run(str(log), "--policy", "nowhere").returncode == UNCHECKED
