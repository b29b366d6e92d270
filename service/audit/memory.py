"""What the notary keeps apart from the database: its key, and what it signed last.

A database that was rolled back, forked or rewritten meets this memory and is refused. It is never
rolled back and shares no backup with the database (audit reference, section 5).
"""

import json
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fcntl import LOCK_EX, flock
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.audit.checkpoint import Algorithm, VerifierKey
from service.audit.tree import Frontier
from service.errors import KeysRefused

KEY, STATE, LOCK = "key.pem", "state.json", "lock"
MOST_STREAMS = 4_096  # those heard of last; closed ones are forgotten at once


@dataclass(slots=True)
class Memory:
    """The tree as signed last, and where each open stream stood in it."""

    origin: str
    tree: Frontier = field(default_factory=Frontier)
    streams: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def follow(self, stream: str, n: int, leaf_hash: bytes) -> None:
        self.streams.pop(stream, None)
        self.streams[stream] = (n, leaf_hash)
        if len(self.streams) > MOST_STREAMS:
            del self.streams[next(iter(self.streams))]


def create(directory: Path, origin: str) -> None:
    """Make a key for a new origin; refused where there is one, for it would sign a second past."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (directory / KEY).exists():
        raise KeysRefused("The notary has a key already; a new origin needs a new directory.")
    save(directory, Memory(origin))
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _replace(directory, KEY, pem, 0o400)  # last: a directory with a key is complete


def load_key(directory: Path) -> Ed25519PrivateKey:
    path = directory / KEY
    try:
        held = path.lstat()
        if not stat.S_ISREG(held.st_mode) or held.st_mode & 0o077 or held.st_uid != os.geteuid():
            raise KeysRefused("The notary's key must be a file of mode 0400 of its own user.")
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError) as error:
        raise KeysRefused("The notary's key is missing or unreadable.") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysRefused("The notary's key is not Ed25519.")
    return key


def verifier_key(directory: Path) -> str:
    """What others verify checkpoints with: <origin>+<key id>+<public key>."""
    return str(VerifierKey.of(load(directory).origin, Algorithm.LOG, load_key(directory)))


def load(directory: Path) -> Memory:
    try:
        held = json.loads((directory / STATE).read_bytes())
        tree = Frontier.from_bytes(held["size"], b64decode(held["frontier"], validate=True))
        if b64encode(tree.root()).decode() != held["root"]:
            raise KeysRefused("The notary's state contradicts itself.")
        streams = {
            stream: (n, b64decode(leaf, validate=True)) for stream, n, leaf in held["streams"]
        }
        return Memory(held["origin"], tree, streams)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KeysRefused("The notary's state is missing or unreadable.") from error


def save(directory: Path, memory: Memory) -> None:
    """Durable when it returns."""
    state = {
        "origin": memory.origin,
        "size": memory.tree.size,
        "root": b64encode(memory.tree.root()).decode(),
        "frontier": b64encode(memory.tree.to_bytes()).decode(),
        "streams": [[s, n, b64encode(h).decode()] for s, (n, h) in memory.streams.items()],
    }
    _replace(directory, STATE, json.dumps(state, indent=1).encode(), 0o600)


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """One notary at a time, whatever the number of processes."""
    descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        flock(descriptor, LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(directory: Path, name: str, data: bytes, mode: int) -> None:
    fresh = directory / f"{name}.new"
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(directory / name)  # the new bytes are durable, so either name holds whole ones
    folder = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
