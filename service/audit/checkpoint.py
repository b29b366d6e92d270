"""Checkpoints: what a log says of itself, signed; who must have signed it; and proofs under it.

Formats of C2SP: signed-note, tlog-checkpoint (v1.0.0), tlog-cosignature (v1.0.1), tlog-proof and
tlog-policy (commit 5ba5ee8). One of the verifier's three files: it stands alone.

A note is UTF-8 text that ends in a newline, an empty line, and lines `— <name> <base64>`; each
signature is over the text without the empty line. Keys we do not know are ignored, a key we know
that fails rejects the note. Base64 is taken in its one right spelling: decoders overlook spare
bits, and two spellings of one signature would be two checkpoints.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

if TYPE_CHECKING or __package__:
    from service.audit.tree import EMPTY_ROOT, HASH_SIZE, VerificationError, verify_inclusion
else:  # copied alone into an officer's directory
    from tree import EMPTY_ROOT, HASH_SIZE, VerificationError, verify_inclusion

DASH = "\N{EM DASH} "
KEY_ID_SIZE = 4
LONGEST_NOTE = 1_000_000
MOST_SIGNATURES = 100
LARGEST_SIZE = 2**63 - 1
NO_QUORUM = "none"
PROOF_HEADER = "c2sp.org/tlog-proof@v1"

_UNFIT = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_UNFIT_POLICY = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def encode64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def decode64(text: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except ValueError as error:
        raise VerificationError("this is not base64") from error
    if encode64(data) != text:
        raise VerificationError("base64 is spelt in a way that is not its own")
    return data


def decimal(text: str) -> int:
    """A number as formats spell it: ASCII digits, no sign, no leading zero."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0"):
        raise VerificationError("a number is not spelt in plain digits")
    if len(text) > len(str(LARGEST_SIZE)) or int(text) > LARGEST_SIZE:
        raise VerificationError("a number is larger than any log")
    return int(text)


def name_holds(name: str) -> bool:
    return bool(name) and "+" not in name and not any(each.isspace() for each in name)


class Algorithm(IntEnum):
    """What a key signs: a log its checkpoints, a witness the time at which it saw one."""

    LOG = 0x01
    WITNESS = 0x04


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under its name; written `<name>+<key id>+<base64(algorithm, public key)>`."""

    name: str
    algorithm: Algorithm
    public: bytes

    @classmethod
    def of(cls, name: str, algorithm: Algorithm, key: Ed25519PrivateKey) -> Self:
        return cls(name, algorithm, key.public_key().public_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        data = decode64(encoded)
        if not name_holds(name) or len(data) != 1 + 32:
            raise VerificationError("this is not an Ed25519 verifier key")
        if data[0] not in (Algorithm.LOG, Algorithm.WITNESS):
            raise VerificationError("the verifier key is of a kind that is not supported")
        key = cls(name, Algorithm(data[0]), data[1:])
        if key.id.hex() != key_id:
            raise VerificationError("the verifier key does not have the id it states")
        return key

    @property
    def id(self) -> bytes:
        data = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        return sha256(data).digest()[:KEY_ID_SIZE]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{encode64(bytes([self.algorithm]) + self.public)}"

    def line(self, signature: bytes) -> str:
        return f"{DASH}{self.name} {encode64(self.id + signature)}\n"

    def verify(self, text: str, signature: bytes) -> int | None:
        """The time a witness states, None for a log; VerificationError if it did not sign this."""
        message, at = text.encode(), None
        if self.algorithm is Algorithm.WITNESS:
            at, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = witness_message(text, at)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError) as error:
            raise VerificationError(f"the signature of {self.name} is wrong") from error
        return at


def witness_message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's whole claim: under this origin, this many leaves have this root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{encode64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Three lines and no more: extension lines are not ours, and nobody could audit them."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not name_holds(lines[0]):  # noqa: PLR2004
            raise VerificationError("this is not a checkpoint of three lines")
        checkpoint = cls(lines[0], decimal(lines[1]), decode64(lines[2]))
        if len(checkpoint.root) != HASH_SIZE:
            raise VerificationError("the root of the checkpoint is not a hash")
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
            raise VerificationError("an empty log has another root")
        return checkpoint


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The signed note: the log's key bears its origin as name."""
    text = checkpoint.text()
    line = VerifierKey.of(checkpoint.origin, Algorithm.LOG, key).line(key.sign(text.encode()))
    return f"{text}\n{line}"


def witness(checkpoint: Checkpoint, name: str, key: Ed25519PrivateKey, at: int) -> str:
    """The line a witness adds to a note, having seen nothing larger at `at` (in seconds)."""
    signature = key.sign(witness_message(checkpoint.text(), at))
    return VerifierKey.of(name, Algorithm.WITNESS, key).line(at.to_bytes(8, "big") + signature)


def split_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The text of a note, and (name, key id, signature) of each line below it; nothing is checked
    but the form.
    """
    if len(note) > LONGEST_NOTE or _UNFIT.search(note):
        raise VerificationError("the note is too long or holds characters no note may hold")
    text, separator, below = note.rpartition("\n\n")
    lines = below.split("\n")
    if not separator or lines.pop() or not lines or len(lines) > MOST_SIGNATURES:
        raise VerificationError("the note has no signature lines, or they are cut")
    return f"{text}\n", [_signature_line(line) for line in lines]


def _signature_line(line: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or not name_holds(name):
        raise VerificationError("a signature line is malformed")
    data = decode64(encoded)
    if len(data) <= KEY_ID_SIZE:
        raise VerificationError("a signature line holds no signature")
    return name, data[:KEY_ID_SIZE], data[KEY_ID_SIZE:]


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint with the keys that signed it, and when each witness did (in seconds)."""

    checkpoint: Checkpoint
    signed: Mapping[VerifierKey, int | None]


def open_signed(note: str, keys: Iterable[VerifierKey]) -> Opened:
    """The checkpoint, if the log that bears its origin as name signed it with one of `keys`."""
    known = {(key.name, key.id): key for key in keys}
    text, lines = split_note(note)
    signed = {}
    for name, key_id, signature in lines:
        if key := known.get((name, key_id)):
            signed[key] = key.verify(text, signature)
    checkpoint = Checkpoint.parse(text)
    if not any(key.algorithm is Algorithm.LOG and key.name == checkpoint.origin for key in signed):
        raise VerificationError("no known key of this log has signed the checkpoint")
    return Opened(checkpoint, signed)


def open_note(note: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    return open_signed(note, keys).checkpoint


@dataclass(frozen=True, slots=True)
class Policy:
    """Which logs are believed, and which witnesses must have seen a checkpoint first."""

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    groups: Mapping[str, tuple[int, tuple[str, ...]]]
    quorum: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Lines `log`, `witness`, `group` and one `quorum`; a name is defined before its use, once,
        and counts in one group alone, so that nobody is counted twice.
        """
        logs: list[VerifierKey] = []
        witnesses: dict[str, VerifierKey] = {}
        groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        free: set[str] = set()
        quorum: list[str] = []
        for words in _policy_lines(text):
            named = {NO_QUORUM, *witnesses, *groups}
            match words:
                case ["log", key] | ["log", key, _]:
                    logs.append(_policy_key(key, Algorithm.LOG))
                case ["witness", name, key] | ["witness", name, key, _] if name not in named:
                    witnesses[name] = _policy_key(key, Algorithm.WITNESS)
                    free.add(name)
                case ["group", name, least, *members] if (
                    name not in named and len(set(members)) == len(members) and free >= {*members}
                ):
                    groups[name] = (_threshold(least, len(members)), tuple(members))
                    free = (free | {name}) - {*members}
                case ["quorum", name] if name in named and not quorum:
                    quorum.append(name)
                case _:
                    raise VerificationError(f"the policy may not say: {' '.join(words)}")
        public = [key.public for key in (*logs, *witnesses.values())]
        if len(set(public)) != len(public) or not quorum:
            raise VerificationError("the policy has one key twice, or names no quorum")
        return cls(tuple(logs), witnesses, groups, quorum[0])

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        return (*self.logs, *self.witnesses.values())

    def open(self, note: str) -> Opened:
        opened = open_signed(note, self.keys)
        if not self.satisfied(self.quorum, opened):
            raise VerificationError("too few of the witnesses have signed the checkpoint")
        return opened

    def satisfied(self, name: str, opened: Opened) -> bool:
        if name == NO_QUORUM:
            return True
        if name in self.witnesses:
            return self.witnesses[name] in opened.signed
        least, members = self.groups[name]
        return sum(self.satisfied(each, opened) for each in members) >= least


def _policy_lines(text: str) -> Iterator[list[str]]:
    if _UNFIT_POLICY.search(text):
        raise VerificationError("the policy holds characters no policy may hold")
    for line in text.split("\n"):
        words = re.split("[ \t]+", line.strip(" \t"))
        if words != [""] and not words[0].startswith("#"):
            yield words


def _policy_key(text: str, algorithm: Algorithm) -> VerifierKey:
    key = VerifierKey.parse(text)
    if key.algorithm is not algorithm:
        raise VerificationError("the policy has the key of a log for a witness, or the reverse")
    return key


def _threshold(least: str, members: int) -> int:
    needed = {"any": 1, "all": members}.get(least) or decimal(least)
    if not 1 <= needed <= members:
        raise VerificationError("the policy asks a group for more than it has")
    return needed


@dataclass(frozen=True, slots=True)
class Proof:
    """A `.tlog-proof`: one entry's place under a checkpoint, complete enough to check offline."""

    index: int
    hashes: Sequence[bytes]
    note: str

    def text(self) -> str:
        hashes = "".join(f"{encode64(each)}\n" for each in self.hashes)
        return f"{PROOF_HEADER}\nindex {self.index}\n{hashes}\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> Self:
        head, _, note = text.partition("\n\n")
        header, *lines = head.split("\n")
        if lines and lines[0].startswith("extra "):
            decode64(lines.pop(0).removeprefix("extra "))  # unauthenticated: nothing rests on it
        if header != PROOF_HEADER or not lines or not lines[0].startswith("index "):
            raise VerificationError("this is not a tlog-proof")
        index = decimal(lines[0].removeprefix("index "))
        return cls(index, tuple(decode64(line) for line in lines[1:]), note)

    def verify(self, leaf: bytes, policy: Policy) -> Checkpoint:
        """The checkpoint under which the leaf hash `leaf` is proved."""
        checkpoint = policy.open(self.note).checkpoint
        verify_inclusion(self.index, checkpoint.size, leaf, self.hashes, checkpoint.root)
        return checkpoint
