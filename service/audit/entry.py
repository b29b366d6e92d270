"""A ledger entry: who did what, when, to which records, by what right. Its bytes are the leaf.

Random ids and codes of the act only: no name, clinical code, label or text about a person
(audit reference, section 9). Canonical JSON as RFC 8785; strings are printable ASCII.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from service.vocabulary import Action, EntryId, Micros, PatientId


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
