"""Verifies a ledger offline, from the files it serves. Stands alone with tree.py and checkpoint.py.

    python verify.py DIR --policy POLICY [--since CHECKPOINT]
    python verify.py --proof PROOF --leaf LEAF --policy POLICY

Exit code 0: holds; 1: tampered; 2: could not check. The steps bear their numbers in docs/verify.md;
5, 7 and 8 compare the log with the database and are not made here. Nothing is taken from the log
on trust: every hash is made anew, from the entries up to the root that is signed.
"""

import sys
from argparse import ArgumentParser
from base64 import b64decode
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from json import JSONDecoder, JSONEncoder
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING or __package__:
    from service.audit import tree
    from service.audit.checkpoint import Checkpoint, Policy, Proof, open_note
    from service.audit.tree import HASH_SIZE, TILE_WIDTH, Frontier, VerificationError
else:  # copied alone into an officer's directory
    import tree
    from checkpoint import Checkpoint, Policy, Proof, open_note
    from tree import HASH_SIZE, TILE_WIDTH, Frontier, VerificationError

HOLDS, TAMPERED, UNCHECKED = 0, 1, 2
VERDICTS = ("HOLDS", "TAMPERED", "COULD NOT CHECK")
STEPS = {1: "checkpoint", 2: "history", 3: "tiles", 4: "entries", 6: "streams", 9: "clocks"}
LIMITS = """\
Steps 5, 7 and 8 compare the log with the database and are no part of this check.
A log proves what is in it, never that the answer to a question is complete: for all accesses to
somebody, read through the verified entries and compare them with the index."""
TOLD = 5  # faults of a step that are told one by one
SLACK = 5_000_000  # microseconds that clocks may differ
LARGEST_NUMBER = 2**53 - 1
BEAT_PREFIX = 6  # bytes of a leaf hash by which a beat names it
PROGRESS = 512  # tiles

Read = Callable[[str], bytes | None]
"""The bytes served at a path; None if there are none."""


class Unchecked(Exception):
    """A file of the officer's own cannot be used."""


@dataclass(slots=True)
class Report:
    """What was found, step by step, in plain words."""

    told: dict[int, str] = field(default_factory=dict)
    faults: dict[int, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    first_bad: int | None = None

    def fault(self, step: int, text: str, seq: int | None = None) -> None:
        if seq is not None:
            text = f"entry {seq} {text}"
            self.first_bad = seq if self.first_bad is None else min(seq, self.first_bad)
        self.faults.setdefault(step, []).append(text)

    @property
    def verdict(self) -> int:
        return TAMPERED if self.faults else UNCHECKED if self.missing else HOLDS

    def lines(self) -> Iterator[str]:
        for step, name in STEPS.items():
            faults = self.faults.get(step, [])
            told = "TAMPERED" if faults else self.told.get(step, "not reached")
            yield f"{step}  {name:<11} {told}"
            yield from (f"{'':15}{each}" for each in faults[:TOLD])
            if len(faults) > TOLD:
                yield f"{'':15}and {len(faults) - TOLD:,} faults more"
        if self.missing:
            yield f"{len(self.missing):,} files are missing: {', '.join(self.missing[:TOLD])}"
        yield LIMITS
        first = "" if self.first_bad is None else f"; the first bad entry is {self.first_bad}"
        yield f"Verdict: {VERDICTS[self.verdict]}{first}"


def _integer(text: str) -> int:
    if abs(value := int(text)) > LARGEST_NUMBER:
        raise ValueError("beyond 2^53 - 1")
    return value


def _refuse(_: str) -> NoReturn:
    raise ValueError("not a whole number")


_decode = JSONDecoder(parse_int=_integer, parse_float=_refuse, parse_constant=_refuse).raw_decode
_encode = JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False
).encode


def canonical(leaf: bytes) -> dict[str, Any]:
    """The entry in a leaf, if it is RFC 8785 within its bounds: printable ASCII, whole numbers."""
    text = leaf.decode("ascii")
    entry, _ = _decode(text)
    if type(entry) is not dict or _encode(entry) != text:
        raise ValueError("another spelling")
    if "\x7f" in text or ("\\" in text and "\\" in text.replace("\\\\", "").replace('\\"', "")):
        raise ValueError("a control character")
    return entry


@dataclass(slots=True)
class Entries:
    """Steps 4, 6 and 9: each entry is looked at once, in the order of the log."""

    report: Report
    ends: dict[str, tuple[int, bytes]] = field(default_factory=dict)  # stream: last n, leaf hash
    early: dict[str, dict[int, tuple[int, str, bytes]]] = field(default_factory=dict)
    writes: dict[bytes, bytes] = field(default_factory=dict)  # outside streams, not in a beat yet
    waiting: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    latest: int = 0
    behind: list[int] = field(default_factory=list)

    def check(self, first: int, leaves: list[bytes], hashes: list[bytes]) -> None:
        for seq, (leaf, leaf_hash) in enumerate(zip(leaves, hashes, strict=True), first):
            try:
                entry = canonical(leaf)
            except (ValueError, RecursionError):
                self.report.fault(4, "is not canonical JSON", seq)
                continue
            at = entry.get("at")
            if type(at) is int:
                if at > self.latest:
                    self.latest = at
                elif at < self.latest - SLACK:
                    self.behind.append(seq)
            if "stream" in entry:
                self.place(seq, entry, leaf_hash)
            else:
                self.writes[leaf_hash[:BEAT_PREFIX]] = leaf_hash

    def place(self, seq: int, entry: dict[str, Any], leaf_hash: bytes) -> None:
        """Hang an entry on its stream; one that comes early waits for what it hangs on."""
        stream, n, prev = entry["stream"], entry.get("n"), entry.get("prev")
        if type(stream) is not str or type(n) is not int or type(prev) is not str:
            self.report.fault(6, "states half a position in a stream", seq)
            return
        last, before = self.ends.get(stream, (-1, bytes(HASH_SIZE)))
        early = self.early.get(stream)
        if n <= last or (early and n in early):
            self.report.fault(6, f"takes position {n} of its stream again", seq)
            return
        kind, details = entry.get("kind"), entry.get("details")
        if type(details) is dict and (
            kind == "stream-open"  # whose predecessor's end shows when all is read
            or (kind == "stream-beat" and not self.explained(kind, details))
        ):
            self.waiting.append((seq, kind, details))
        if n > last + 1:
            self.early.setdefault(stream, {})[n] = (seq, prev, leaf_hash)
            return
        found: tuple[int, str, bytes] | None = (seq, prev, leaf_hash)
        while found:
            if found[1] != b2a_base64(before, newline=False).decode():
                self.report.fault(6, "does not name the one before it in its stream", found[0])
            last, before = last + 1, found[2]
            found = early.pop(last + 1, None) if early else None
        self.ends[stream] = last, before

    def explained(self, kind: str, details: dict[str, Any]) -> bool:
        """Whether the log has what a stream says of others: the end of the one before it, or the
        writes acknowledged since its last beat, which one beat names and which then are let go.
        """
        try:
            if kind == "stream-open":
                last = self.ends.get(details["predecessor"], (-1, b""))[0]
                return bool(details["acknowledged"] <= last <= details["tried"])
            names = b64decode(details["prefixes"], validate=True)
            keys = [names[at : at + BEAT_PREFIX] for at in range(0, len(names), BEAT_PREFIX)]
            digest = sha256(b"".join([self.writes[key] for key in keys])).hexdigest()
            if (len(keys), digest) != (details["count"], details["digest"]):
                return False
        except (KeyError, TypeError, ValueError):
            return False
        for key in keys:
            self.writes.pop(key, None)
        return True

    def finish(self, *, complete: bool) -> None:
        if not complete:
            self.report.told |= dict.fromkeys((4, 6, 9), "not finished: entries are missing")
            return
        for stream, early in self.early.items():
            for seq, _, _ in sorted(early.values())[:1]:
                n = self.ends.get(stream, (-1, b""))[0] + 1
                self.report.fault(6, f"hangs on position {n} of its stream, which is gone", seq)
        for seq, kind, details in self.waiting:
            if not self.explained(kind, details):
                what = "another end of the stream before" if kind == "stream-open" else "writes"
                self.report.fault(6, f"attests {what} that the log does not have", seq)
        self.report.told[4] = "holds: each is canonical and hashes to its leaf"
        self.report.told[6] = f"holds: {len(self.ends):,} streams, none with a gap"
        self.report.told[9] = "holds: in order, to five seconds"
        if self.behind:
            count, first = len(self.behind), self.behind[0]
            self.report.told[9] = f"FLAGGED: {count:,} entries are dated back, first {first}"


@dataclass(slots=True)
class Log:
    """One run over the files of a log whose checkpoint is open."""

    read: Read
    report: Report
    size: int
    saved_size: int
    progress: Callable[[int, int], None]
    tile_roots: list[bytes] = field(default_factory=list)
    root: bytes = tree.EMPTY_ROOT
    saved_root: bytes = tree.EMPTY_ROOT
    hashed: bool = True  # every leaf hash is there
    complete: bool = True  # every entry is there

    def served(self, path: Callable[[int], str], width: int) -> tuple[bytes | None, int]:
        """The bytes at a path and how wide they are: a full tile may have replaced a partial."""
        data = self.read(path(width))
        if data is None and width < TILE_WIDTH and (data := self.read(path(TILE_WIDTH))):
            return data, TILE_WIDTH
        if data is None:
            self.report.missing.append(path(width))
        return data, width

    def tile(self, level: int, n: int, width: int) -> bytes | None:
        data, written = self.served(partial(tree.tile_path, level, n), width)
        if data is not None and len(data) != written * HASH_SIZE:
            self.report.fault(3, f"{tree.tile_path(level, n, width)} is cut or too long")
            return None
        return data and data[: width * HASH_SIZE]

    def leaves(self, n: int, width: int) -> list[bytes] | None:
        data, written = self.served(partial(tree.bundle_path, n), width)
        try:
            return None if data is None else tree.decode_bundle(data, written)[:width]
        except VerificationError as error:
            self.report.fault(
                4, f"or one of the {width - 1} after it is lost: {error}", n * TILE_WIDTH
            )
            return None

    def level_0(self) -> None:
        """From entries to leaf hashes, from leaf hashes to the root; each file is read once."""
        entries, whole, tail = Entries(self.report), Frontier(), b""
        for n in range(-(-self.size // TILE_WIDTH)):
            width = min(TILE_WIDTH, self.size - n * TILE_WIDTH)
            tail = self.checked(entries, n, width)
            if n == self.saved_size // TILE_WIDTH:
                kept = self.saved_size % TILE_WIDTH * HASH_SIZE
                self.saved_root = tree.root_over(whole, tail[:kept])
            if width == TILE_WIDTH:
                self.tile_roots.append(tree.fold(tail))
                whole.append(self.tile_roots[-1])
                tail = b""
            if n % PROGRESS == PROGRESS - 1:
                self.progress(n * TILE_WIDTH + width, self.size)
        entries.finish(complete=self.complete)
        self.root = tree.root_over(whole, tail)
        if self.saved_size == self.size:
            self.saved_root = self.root

    def checked(self, entries: Entries, n: int, width: int) -> bytes:
        """The leaf hashes of a tile as served, its entries compared with them."""
        leaves, tile = self.leaves(n, width), self.tile(0, n, width)
        if leaves is None:
            self.complete, self.hashed = False, self.hashed and tile is not None
            return tile or bytes(width * HASH_SIZE)
        hashes = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
        entries.check(n * TILE_WIDTH, leaves, hashes)
        made = b"".join(hashes)
        if tile is None or tile == made:
            return made
        for at, each in enumerate(hashes):
            if tile[at * HASH_SIZE : (at + 1) * HASH_SIZE] != each:
                self.report.fault(4, "is not what was logged", n * TILE_WIDTH + at)
        return tile

    def upper_levels(self) -> None:
        """Each hash above level 0 is the root of a full tile below it."""
        level, hashes = 1, self.tile_roots
        while hashes:
            above = []
            for n in range(-(-len(hashes) // TILE_WIDTH)):
                below = b"".join(hashes[n * TILE_WIDTH : (n + 1) * TILE_WIDTH])
                width = len(below) // HASH_SIZE
                tile = self.tile(level, n, width)
                if tile is not None and tile != below:
                    path = tree.tile_path(level, n, width)
                    self.report.fault(3, f"{path} does not hold the roots of the tiles below it")
                if width == TILE_WIDTH:
                    above.append(tree.fold(below))
            level, hashes = level + 1, above

    def conclude(self, now: Checkpoint, since: Checkpoint | None) -> None:
        """Steps 2 and 3, once the tree is rebuilt: does it have the roots that were signed?"""
        self.report.told[3] = "holds: the tree, made anew from its leaves, has the signed root"
        if self.root != now.root:
            self.report.fault(
                3, "the tree, made anew from its leaves, has another root than signed"
            )
        self.report.told[2] = (
            "not checked: without --since a log rolled back looks like a young one"
        )
        if since:
            self.report.told[2] = f"holds: nothing up to your {since.size:,} entries has changed"
            if self.saved_root != since.root:
                where = f"the first {since.size:,} entries are not those of your saved checkpoint"
                self.report.fault(2, where)


def _quiet(_done: int, _size: int) -> None:
    """How far a run is interests nobody."""


def verify_log(
    read: Read,
    policy: Policy,
    since: Checkpoint | None = None,
    progress: Callable[[int, int], None] = _quiet,
) -> Report:
    """Steps 1 to 4, 6 and 9 over the files that `read` serves."""
    report = Report()
    note = read("checkpoint")
    if note is None:
        report.missing.append("checkpoint")
        return report
    try:
        opened = policy.open(note.decode())
    except (VerificationError, UnicodeDecodeError) as error:
        report.fault(1, str(error))
        return report
    now, names = opened.checkpoint, ", ".join(key.name for key in opened.signed)
    report.told[1] = f"holds: {now.origin} with {now.size:,} entries, signed by {names}"
    if since and (since.origin != now.origin or since.size > now.size):
        report.fault(2, f"your saved checkpoint has {since.size:,} entries of {since.origin}")
        return report
    log = Log(read, report, now.size, since.size if since else 0, progress)
    log.level_0()
    if log.hashed:
        log.upper_levels()
        log.conclude(now, since)
    return report


def verify_proof(proof: bytes, leaf: bytes, policy: Policy) -> Report:
    """Step 1, and the place of one entry under the checkpoint of its `.tlog-proof`."""
    report = Report()
    try:
        shown = Proof.parse(proof.decode())
        checkpoint = shown.verify(tree.leaf_hash(leaf), policy)
    except (VerificationError, UnicodeDecodeError) as error:
        report.fault(1, str(error))
        return report
    report.told[1] = f"holds: {checkpoint.origin} with {checkpoint.size:,} entries"
    report.told[4] = f"holds: this is entry {shown.index}"
    return report


# --- the command line ---------------------------------------------------------------------------


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _progress(done: int, size: int) -> None:
    sys.stderr.write(f"{done:,} of {size:,} entries\n")


def _serve(directory: Path, path: str) -> bytes | None:
    try:
        return (directory / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def run(arguments: Sequence[str] | None) -> Report:
    parser = ArgumentParser(description="Verify a ledger offline, from the files it serves.")
    parser.add_argument("directory", nargs="?", type=Path, help="holds checkpoint and tile/")
    parser.add_argument("--policy", required=True, type=Path, help="whom you believe")
    parser.add_argument("--since", type=Path, help="a checkpoint you saved before")
    parser.add_argument("--proof", type=Path, help="a .tlog-proof, to check one entry")
    parser.add_argument("--leaf", type=Path, help="the bytes of that entry")
    given = parser.parse_args(arguments)
    if (given.directory is None) == (given.proof is None) or (given.proof is None) != (
        given.leaf is None
    ):
        parser.error("give a directory, or --proof and --leaf")
    policy = Policy.parse(given.policy.read_text("utf-8"))
    if given.proof:
        return verify_proof(given.proof.read_bytes(), given.leaf.read_bytes(), policy)
    if not given.directory.is_dir():
        raise Unchecked(f"there is no directory {given.directory}")
    since = given.since and open_note(given.since.read_text("utf-8"), policy.keys)
    return verify_log(partial(_serve, given.directory), policy, since, _progress)


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        report = run(arguments)
    except (OSError, UnicodeDecodeError, VerificationError, Unchecked) as error:
        _say(f"Verdict: {VERDICTS[UNCHECKED]}: {error}")
        return UNCHECKED
    for line in report.lines():
        _say(line)
    return report.verdict


if __name__ == "__main__":
    sys.exit(main())
