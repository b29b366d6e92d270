"""A writer's stream: the chain its entries hang on, and what it says about itself.

A row taken out before it is sequenced leaves a gap in (n, prev). A stream that failed is never
continued, because what its last commit left is unknown: the next one opens by naming it, its last
acknowledged and its highest tried n. Beats name the writes of lane W that were acknowledged, so
that one of those is missed too (audit reference, section 2). No clock, no database.
"""

import hashlib
from base64 import b64encode
from collections.abc import Sequence
from uuid import uuid4

from service.audit.entry import ORIGIN, Entry, Kind, Outcome, Position
from service.audit.ingest import Row, row
from service.audit.log import Ledger
from service.database.ids import uuid7
from service.vocabulary import Action, EntryId, Micros

BEATEN = 4_096  # acknowledged writes that one beat names
PREFIX = 6  # bytes of a leaf hash that name it there: 8 characters of base64


class Stream:
    """Gives entries their positions; `acknowledged` says that those given so far are durable."""

    def __init__(self, ledger: Ledger, before: "Stream | None" = None) -> None:
        self.id = str(uuid4())
        self.tried = -1
        self.durable = -1
        self._ledger = ledger
        self._prev = ORIGIN
        # A stream that never became durable has nobody to be missed by: name the one before it.
        self.before: Stream | None = before
        if before is not None and before.durable < 0:
            self.before = before.before

    def place(self, entry: Entry) -> Row:
        made = row(self._ledger, entry, Position(self.id, self.tried + 1, self._prev))
        self.tried += 1
        self._prev = made.leaf_hash
        return made

    def mark(self) -> tuple[int, bytes]:
        return self.tried, self._prev

    def rewind(self, mark: tuple[int, bytes]) -> None:
        """Take back the places given since `mark`, whose rows are not going to be written."""
        self.tried, self._prev = mark

    def acknowledged(self) -> None:
        self.durable = self.tried

    def opening(self, at: Micros) -> Row:
        before = self.before
        if before is None:
            return self.place(event(Kind.STREAM_OPEN, at))
        named = ("predecessor", before.id)
        span = ("acknowledged", before.durable), ("tried", before.tried)
        return self.place(event(Kind.STREAM_OPEN, at, span[0], named, span[1]))

    def beat(self, at: Micros, hashes: Sequence[bytes]) -> Row:
        return self.place(_beat(at, hashes))

    def closing(self, at: Micros) -> Row:
        return self.place(event(Kind.STREAM_CLOSE, at))


def event(kind: Kind, at: Micros, *details: tuple[str, str | int]) -> Entry:
    """An entry the ledger makes about itself."""
    identity = EntryId(uuid7(at))
    return Entry(
        id=identity, at=at, kind=kind, action=Action.RECORD, outcome=Outcome.SUCCESS,
        act=identity, agent="", client="", role="", organisation="", purpose="", patient=None,
        touched=(), basis="", reason="", details=details,
    )  # fmt: skip


def _beat(at: Micros, hashes: Sequence[bytes]) -> Entry:
    """Count and digest of the leaves, and prefixes by which to find them."""
    prefixes = b64encode(b"".join(h[:PREFIX] for h in hashes)).decode()
    return event(
        Kind.STREAM_BEAT,
        at,
        ("count", len(hashes)),
        ("digest", hashlib.sha256(b"".join(hashes)).hexdigest()),
        ("prefixes", prefixes),
    )
