"""Writes a log as a directory of the files it serves, with entries like ours."""

import json
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.audit import checkpoint, tiles, tree
from service.audit.checkpoint import Algorithm, Checkpoint, VerifierKey
from service.audit.tiles import Tile, TileTree
from service.audit.tree import Frontier

ORIGIN = "ledger.example/11111111/1"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LOG_KEY = VerifierKey.of(ORIGIN, Algorithm.LOG, KEY)
WITNESS = "witness.example/officer"
WITNESS_SECRET = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
WITNESS_KEY = VerifierKey.of(WITNESS, Algorithm.WITNESS, WITNESS_SECRET)
POLICY = f"log {LOG_KEY}\nquorum none\n"
WITNESSED = f"log {LOG_KEY}\nwitness officer {WITNESS_KEY}\nquorum officer\n"
START = 1_773_324_000_000_000


def canonical(entry: dict) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()


def identity(n: int) -> str:
    return str(UUID(int=(7 << 76) | (2 << 62) | n))


def write_entry(n: int, /, **more) -> bytes:
    """An entry of lane W: in no stream."""
    return canonical(
        {
            "act": identity(n), "action": "create", "agent": identity(10), "at": START + n * 1000,
            "basis": "inside", "client": "tablet", "id": identity(n), "kind": "use", "outcome": 0,
            "patient": identity(20), "purpose": "TREAT", "role": "peer-specialist", "v": 1,
            "touched": [f"Encounter/{identity(n)}/1 {b64encode(bytes(32)).decode()}"], **more,
        }
    )  # fmt: skip


class Stream:
    """Entries of lane R, each naming the one before."""

    def __init__(self, n: int = 1) -> None:
        self.stream, self.n, self.prev = identity(1000 + n), 0, bytes(32)

    def entry(self, at: int, **more) -> bytes:
        leaf = write_entry(
            at, stream=self.stream, n=self.n, prev=b64encode(self.prev).decode(), **more
        )
        self.n, self.prev = self.n + 1, tree.leaf_hash(leaf)
        return leaf


def entries(size: int) -> list[bytes]:
    """As a house writes them: two streams, and every third a write."""
    streams = [Stream(0), Stream(1)]
    return [
        write_entry(n) if n % 3 == 2 else streams[n % 3].entry(n, action="read")
        for n in range(size)
    ]


def root(leaves: Iterable[bytes]) -> bytes:
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(tree.leaf_hash(leaf))
    return frontier.root()


def note(leaves: list[bytes], key: Ed25519PrivateKey = KEY, origin: str = ORIGIN) -> str:
    return checkpoint.sign(Checkpoint(origin, len(leaves), root(leaves)), key)


def write_log(directory: Path, leaves: list[bytes]) -> str:
    """The files of a log with these leaves; its checkpoint."""
    hashes = [tree.leaf_hash(leaf) for leaf in leaves]
    for tile, data in tiles.extend(0, hashes, lambda _: b"").items():
        put(directory, tile, data)
        if tile.level == 0:
            first = tile.n * 256
            bundle = tiles.encode_bundle(leaves[first : first + tile.width])
            put(directory, Tile(tiles.ENTRIES, tile.n, tile.width), bundle)
    signed = note(leaves)
    directory.mkdir(exist_ok=True)
    (directory / "checkpoint").write_text(signed)
    return signed


def put(directory: Path, tile: Tile, data: bytes) -> None:
    path = directory / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def reader(directory: Path, size: int) -> TileTree:
    return TileTree(lambda tile: (directory / tile.path).read_bytes(), size)


def proof(directory: Path, index: int, size: int, signed: str) -> checkpoint.Proof:
    hashes = tree.inclusion_proof(index, size, reader(directory, size).node)
    return checkpoint.Proof(index, tuple(hashes), signed)
