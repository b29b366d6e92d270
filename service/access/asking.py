"""What was asked, by whom, and the entries that say so when it came to nothing.

Only ids and codes of the act: what stands in an address or a body never reaches the ledger.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

from service.access.caller import Caller
from service.audit.entry import Entry, Kind, Outcome
from service.database.ids import uuid7
from service.errors import Absent, Forbidden, PeernotesError
from service.vocabulary import Action, EntryId, Micros, PatientId, Purpose, Relation


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, kept for the ledger whatever comes of it."""

    action: Action
    at: Micros
    type: str
    id: str
    patient: PatientId | None
    purpose: Purpose | None


@dataclass(slots=True)
class Asking:
    """Who asks, as far as it is known when something goes wrong."""

    principal: str
    client: str
    caller: Caller | None = None


def refusal(asked: Asked, who: Asking, patient: PatientId | None, error: PeernotesError) -> Entry:
    caller = who.caller
    outside = caller is not None and caller.relation is Relation.OUTSIDE
    hidden = isinstance(error, Absent) and patient is not None and outside
    refused = isinstance(error, Absent | Forbidden) or error.status == 401  # noqa: PLR2004
    return Entry(
        id=EntryId(uuid7(asked.at)),
        at=asked.at,
        kind=Kind.CONSENT_REFUSAL if hidden else Kind.REFUSAL if refused else Kind.FAILURE,
        action=asked.action,
        outcome=Outcome.REFUSED if error.status < 500 else Outcome.FAILED,  # noqa: PLR2004
        act=str(uuid4()),
        agent=who.principal,
        client=who.client,
        role=caller.role if caller else "",
        organisation=(caller.organisation or "") if caller else "",
        purpose=asked.purpose or "",
        patient=patient,
        touched=(),
        basis="",
        reason=type(error).__name__,
        resource_type=asked.type,
    )


def login(asked: Asked, agent: str, client: str, refused: str) -> Entry:
    return Entry(
        id=EntryId(uuid7(asked.at)), at=asked.at, kind=Kind.LOGIN, action=asked.action,
        outcome=Outcome.REFUSED if refused else Outcome.SUCCESS, act=str(uuid4()), agent=agent,
        client=client, patient=None, touched=(), reason=refused,
        role="", organisation="", purpose="", basis="",
    )  # fmt: skip


def random_id(text: str) -> str:
    """Only a UUID may reach the ledger: anything else in an address could be somebody's name."""
    try:
        return str(UUID(text)) if text else ""
    except ValueError:
        return ""
