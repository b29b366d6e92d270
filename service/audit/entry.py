"""A ledger entry: who did what, when, to which records, by what right. Its bytes are the leaf.

Random ids and codes of the act only: no name, clinical code, label or text about a person
(audit reference, section 9). Canonical JSON as RFC 8785: members sorted, no space, strings of
printable ASCII, whole numbers within 2^53 - 1. Members that say nothing are left out.
"""

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from dataclasses import dataclass
from enum import IntEnum, StrEnum

import msgspec

from service.errors import Malformed, Tampered
from service.vocabulary import Action, EntryId, Micros, PatientId

FORMAT = 1
MOST_BYTES = 65_535  # a tile bundle gives each leaf 16 bits of length
MOST_NUMBER = 2**53 - 1  # what every JSON reader reads exactly
MOST_TOUCHED = 400  # of one entry, so that even digests fit into MOST_BYTES
ORIGIN = bytes(32)
"""Stands for the leaf before a stream's first."""


class Kind(StrEnum):
    """What the entry attests; decides the BALP profile it renders as (audit/balp.py)."""

    USE = "use"  # access inside the program
    DISCLOSURE = "disclosure"  # access by an outside recipient
    CONSENT_REFUSAL = "consent-refusal"
    REFUSAL = "refusal"
    FAILURE = "failure"
    LOGIN = "login"
    BREAK_GLASS = "break-glass"
    OPEN_FAIL = "open-fail"
    STREAM_OPEN = "stream-open"
    STREAM_BEAT = "stream-beat"
    STREAM_CLOSE = "stream-close"
    LEDGER_GAP = "ledger-gap"
    LEDGER_REJECT = "ledger-reject"
    KEY_ACT = "key-act"


class Outcome(IntEnum):
    """AuditEvent.outcome: success, minor failure (refused), serious failure."""

    SUCCESS = 0
    REFUSED = 4
    FAILED = 8


@dataclass(frozen=True, slots=True)
class Touched:
    """One record an act read or wrote; `digest` is SHA-256 of the sealed bytes, on writes."""

    type: str
    id: str
    version: int
    digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class Commitment:
    """The digest of a free text kept sealed beside the ledger (audit/text.py)."""

    field: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One access, refusal or event. At most one patient; acts on many share one `act` id."""

    id: EntryId
    at: Micros
    kind: Kind
    action: Action
    outcome: Outcome
    act: str
    agent: str  # principal id, '' when nobody is signed in
    client: str  # OAuth client id
    role: str
    organisation: str
    purpose: str
    patient: PatientId | None
    touched: tuple[Touched, ...]
    basis: str  # legal basis: 'inside', 'own-record', 'consent:<Consent id>', 'break-glass', ''
    reason: str  # decision or error code from a closed set, '' on success
    resource_type: str = ""  # what a search or create was about, when nothing was touched
    commitments: tuple[Commitment, ...] = ()
    details: tuple[tuple[str, str | int], ...] = ()  # codes and numbers, sorted by name


@dataclass(frozen=True, slots=True)
class Position:
    """Where an entry stands in its writer's stream; `prev` is the hash of the leaf before it."""

    stream: str
    n: int
    prev: bytes


class _Leaf(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Members in sorted order: their order here is their order in the bytes."""

    act: str
    action: str
    agent: str
    at: int
    basis: str = ""
    client: str = ""
    commitments: dict[str, str] = {}
    details: dict[str, str | int] = {}
    id: str = ""
    kind: str = ""
    n: int | None = None
    organisation: str = ""
    outcome: int = -1  # no outcome is the default: it is always written out
    patient: str | None = None
    prev: str | None = None
    purpose: str = ""
    reason: str = ""
    role: str = ""
    stream: str | None = None
    touched: tuple[str, ...] = ()
    type: str = ""
    v: int = 0


class _Place(msgspec.Struct):
    """The stream position alone: all that the sequencer reads of a leaf."""

    kind: str
    stream: str | None = None
    n: int | None = None
    prev: str | None = None


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(_Leaf).decode
_place = msgspec.json.Decoder(_Place).decode


def canonical(entry: Entry, position: Position | None = None) -> bytes:
    """The bytes of a leaf; Malformed when no canonical form of it exists."""
    place = position or _NOWHERE
    # str(): the empty word of an enumeration is not the empty text that is left out by default.
    leaf = _encode(
        _Leaf(
            entry.act, entry.action, entry.agent, entry.at, str(entry.basis), entry.client,
            {c.field: _base64(c.digest) for c in entry.commitments} if entry.commitments else {},
            dict(entry.details) if entry.details else {},
            entry.id, entry.kind,
            None if position is None else place.n, entry.organisation, entry.outcome, entry.patient,
            None if position is None else _base64(place.prev),
            str(entry.purpose), str(entry.reason), str(entry.role),
            None if position is None else place.stream,
            tuple(map(_line, entry.touched)), str(entry.resource_type), FORMAT,
        )
    )  # fmt: skip
    if len(leaf) > MOST_BYTES:
        raise Malformed("An entry takes at most 65,535 bytes: split it.")
    # Control characters would show as escapes, DEL and anything above ASCII as themselves.
    if not leaf.isascii() or b"\x7f" in leaf or (b"\\" in leaf and _escapes(leaf)):
        raise Malformed("The strings of an entry are printable ASCII.")
    if not 0 <= entry.at <= MOST_NUMBER or not 0 <= place.n <= MOST_NUMBER or _oversized(entry):
        raise Malformed("The numbers of an entry are whole and within 2^53 - 1.")
    return leaf


def parse(leaf: bytes) -> tuple[Entry, Position | None]:
    """The entry a leaf holds, and its place; Tampered unless these bytes are its canonical form."""
    try:
        raw = _decode(leaf)
        entry, position = _entry(raw), _position(raw.stream, raw.n, raw.prev)
        if raw.v == FORMAT and canonical(entry, position) == leaf:
            return entry, position
    except (msgspec.MsgspecError, Malformed, ValueError) as error:
        raise Tampered("A ledger leaf does not parse.") from error
    raise Tampered("A ledger leaf is not in canonical form.")


def place(leaf: bytes) -> tuple[str, Position | None]:
    """The kind and stream position alone, without the rest; Tampered if it has none to read."""
    try:
        raw = _place(leaf)
        return raw.kind, _position(raw.stream, raw.n, raw.prev)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Tampered("A ledger leaf does not parse.") from error


def _entry(raw: _Leaf) -> Entry:
    return Entry(
        id=EntryId(raw.id), at=Micros(raw.at), kind=Kind(raw.kind), action=Action(raw.action),
        outcome=Outcome(raw.outcome), act=raw.act, agent=raw.agent, client=raw.client,
        role=raw.role, organisation=raw.organisation, purpose=raw.purpose,
        patient=None if raw.patient is None else PatientId(raw.patient),
        touched=tuple(map(_touched, raw.touched)), basis=raw.basis, reason=raw.reason,
        resource_type=raw.type,
        commitments=tuple(Commitment(f, _bytes32(d)) for f, d in raw.commitments.items()),
        details=tuple(raw.details.items()),
    )  # fmt: skip


def _position(stream: str | None, n: int | None, prev: str | None) -> Position | None:
    if stream is None and n is None and prev is None:
        return None
    if stream is None or n is None or prev is None:
        raise ValueError("half a position")
    return Position(stream, n, _bytes32(prev))


def _line(touched: Touched) -> str:
    if not touched.type.isalpha() or "/" in touched.id or " " in touched.id:
        raise Malformed("An entry names records as type, id and version.")
    line = f"{touched.type}/{touched.id}/{touched.version}"
    return line if touched.digest is None else f"{line} {_base64(touched.digest)}"


def _touched(line: str) -> Touched:
    name, _, digest = line.partition(" ")
    kind, identity, version = name.split("/")
    return Touched(kind, identity, int(version), _bytes32(digest) if digest else None)


def _oversized(entry: Entry) -> bool:
    return any(not 0 <= t.version <= MOST_NUMBER for t in entry.touched) or any(
        isinstance(value, int) and abs(value) > MOST_NUMBER for _, value in entry.details
    )


def _escapes(leaf: bytes) -> bool:
    """Whether any escape but those of the quotation mark and the backslash is in the bytes."""
    rest = leaf.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"\\" in rest


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode()


def _bytes32(text: str) -> bytes:
    try:
        data = a2b_base64(text, strict_mode=True)
    except Base64Error as error:
        raise ValueError("not base64") from error
    if len(data) != len(ORIGIN):
        raise ValueError("not 32 bytes")
    return data


_NOWHERE = Position("", 0, b"")
