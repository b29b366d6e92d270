"""May this caller do this at all, and what is the most that they could see? Pure.

Steps 0, 4 and 6 of the decision (privacy, section 5): the role's table met with the client's
scopes, then the legal basis. Nothing here looks at a record, so a refusal says nothing about any
record. What a Permit leaves open (edges, consent, labels) the store's one predicate settles, from
the values a Permit holds; the gate turns them into a records.view.View.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

from service.access.permit import (
    Basis,
    Caseload,
    Consented,
    Deny,
    Everyone,
    Nobody,
    Obligation,
    OwnRecord,
    Permit,
    Reach,
    Reason,
    Refusal,
)
from service.access.roles import (
    INSIDE_ALL,
    KNOWN_TYPES,
    LEDGER,
    NEVER_DELETED,
    TABLE,
    Ceiling,
    Row,
)
from service.access.scoped import LETTERS, allows
from service.consent.purposes import TREATMENT
from service.consent.recipients import names_of
from service.vocabulary import (
    HOUSE_TYPES,
    OPEN_START,
    STORED_TYPES,
    WRITES,
    Action,
    Micros,
    PatientId,
    Purpose,
    Relation,
    ResourceId,
    Role,
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What the policy needs to know of a caller. `scopes` is None for first-party sign-ins."""

    principal: str
    role: Role
    relation: Relation
    purposes: tuple[Purpose, ...]  # entitled; the first is the default
    organisation: ResourceId | None = None
    practitioner: ResourceId | None = None
    patient: PatientId | None = None
    scopes: tuple[str, ...] | None = None
    medical: bool = False  # medical personnel, 42 CFR 2.51


READS = frozenset({Action.READ, Action.VREAD, Action.HISTORY, Action.SEARCH})
SIGNING_IN = frozenset({Action.SIGN_IN, Action.TOKEN, Action.REVOKE, Action.INTROSPECT})
SPECIAL: Mapping[Action, frozenset[Role]] = {
    Action.SYNC_PUSH: frozenset({Role.PEER, Role.SUPERVISOR}),
    Action.IMPORT: frozenset({Role.EHR}),
    Action.BREAK_GLASS: frozenset({Role.CLINICIAN, Role.EHR}),
    Action.AUDIT_SEARCH: frozenset({Role.COMPLIANCE, Role.PARTICIPANT}),
    Action.AUDIT_PROOF: frozenset({Role.COMPLIANCE}),
    Action.ACCOUNTING: frozenset({Role.COMPLIANCE, Role.PARTICIPANT}),
}
"""Acts that only some roles ever perform."""


def decide(
    subject: Subject | None,
    action: Action,
    *,
    type: str | None,
    purpose: Purpose | None,  # None is the subject's default
    at: Micros,
) -> Permit | Deny:
    """The policy's answer now. Remembered for each question: `ruling` knows no record or clock."""
    if subject is None:
        return Deny(Refusal.UNAUTHENTICATED, Reason.NOBODY)
    answer = ruling(subject, action, type, purpose)
    return replace(answer, at=at) if isinstance(answer, Permit) else answer


@lru_cache(maxsize=4096)
def ruling(
    subject: Subject, action: Action, type_: str | None, purpose: Purpose | None
) -> Permit | Deny:
    """The whole policy, in the order in which it refuses."""
    claimed = claim(subject, action, purpose)
    if claimed is None:
        return forbidden(Reason.NO_PURPOSE)
    row = row_for(subject, claimed)
    reach = reach_of(subject, claimed)
    if isinstance(row, Reason) or reach is None:
        return forbidden(row if isinstance(row, Reason) else Reason.NOBODY)
    ceilings = readable(subject, action, type_, row)
    writes = writable(subject, action, row)
    reason = unfit(subject, action, type_, row) or unscoped(subject, action, type_, ceilings)
    if reason:
        return forbidden(reason)
    outside = subject.relation is Relation.OUTSIDE and not isinstance(reach, OwnRecord)
    return Permit(
        at=OPEN_START,
        principal=subject.principal,
        ceilings=MappingProxyType(ceilings),
        writes=writes,
        reach=reach,
        recipients=known_as(subject, claimed),
        purpose=claimed,
        basis=basis_of(reach, claimed),
        obligations=obligations_of(claimed, outside=outside),
        author=author_of(subject, claimed),
        # Nobody hides a record, or the consent that hides it, from the person or from compliance.
        bound_by_denials=not (isinstance(reach, OwnRecord) or subject.role is Role.COMPLIANCE),
        patient_required=(outside or claimed is Purpose.BTG) and type_ not in HOUSE_TYPES,
    )


def forbidden(reason: Reason) -> Deny:
    return Deny(Refusal.FORBIDDEN_OPERATION, reason)


def claim(subject: Subject, action: Action, purpose: Purpose | None) -> Purpose | None:
    """Who declares a broken glass claims BTG; else the stated purpose, or the first entitled."""
    if purpose is None and action is Action.BREAK_GLASS:
        return Purpose.BTG
    return purpose or next(iter(subject.purposes), None)


def known_as(subject: Subject, purpose: Purpose) -> tuple[str, ...]:
    return names_of(
        role=subject.role,
        organisation=subject.organisation,
        practitioner=subject.practitioner,
        purpose=purpose,
    )


def row_for(subject: Subject, purpose: Purpose) -> Row | Reason:
    """A purpose is claimed *and* entitled, and one of the role's own."""
    if purpose not in subject.purposes:
        return Reason.PURPOSE_NOT_ENTITLED
    if purpose is Purpose.BTG and not subject.medical:
        return Reason.NOT_MEDICAL
    for row in TABLE.get((subject.role, subject.relation), ()):
        if purpose in row.purposes:
            return row
    return Reason.PURPOSE_NOT_OF_ROLE


def reach_of(subject: Subject, purpose: Purpose) -> Reach | None:
    """Whose records; None for a sign-in that lacks what the role stands on."""
    if subject.role is Role.PARTICIPANT:
        return OwnRecord(subject.patient) if subject.patient else None
    if subject.role is Role.ADMINISTRATOR:
        return Nobody()
    if subject.relation is Relation.OUTSIDE:
        outside: Reach = Everyone() if purpose is Purpose.BTG else Consented()
        return outside if subject.organisation else None
    if purpose is Purpose.BTG or subject.role in (Role.COMPLIANCE, Role.EHR):
        return Everyone()
    supervises = subject.role is Role.SUPERVISOR
    return Caseload(subject.practitioner, supervises) if subject.practitioner else None


def readable(
    subject: Subject, action: Action, type_: str | None, row: Row
) -> Mapping[str, Ceiling]:
    """The role's types met with the client's scopes. An act about one type may come across others
    (included, chained to, referred to): for these reading or searching is leave enough.
    """
    if action in SIGNING_IN or action is Action.BREAK_GLASS:
        return {}
    letters = LETTERS[action] if type_ is None and action in READS else "rs"
    house = dict.fromkeys(HOUSE_TYPES, INSIDE_ALL)
    record = dict.fromkeys(row.reads, row.ceiling)
    return {
        x: ceiling
        for x, ceiling in (house | record).items()
        if allows(subject.scopes, subject.role, x, letters)
    }


def writable(subject: Subject, action: Action, row: Row) -> frozenset[str]:
    """What this very act may write: nothing, if it only reads."""
    if action not in WRITES:
        return frozenset()
    types = STORED_TYPES - {"Task"} if action is Action.IMPORT else row.writes
    if action is Action.DELETE:
        types = types - NEVER_DELETED
    letters = LETTERS.get(action, "c")
    return frozenset(x for x in types if allows(subject.scopes, subject.role, x, letters))


def unfit(subject: Subject, action: Action, type_: str | None, row: Row) -> Reason | None:
    """What the role's table says against it."""
    if action in SPECIAL:
        inside = subject.relation is Relation.INSIDE or action is not Action.IMPORT
        return None if subject.role in SPECIAL[action] and inside else Reason.ACTION_NOT_OF_ROLE
    if action in SIGNING_IN or (type_ is None and action in READS):
        return None
    if type_ not in KNOWN_TYPES:
        return Reason.UNKNOWN_TYPE
    if action is Action.DELETE and type_ in NEVER_DELETED:
        return Reason.NEVER_DELETED
    allowed = row.reads | HOUSE_TYPES if action in READS else row.writes
    return None if type_ in allowed else Reason.TYPE_NOT_OF_ROLE


def unscoped(
    subject: Subject, action: Action, type_: str | None, ceilings: Mapping[str, Ceiling]
) -> Reason | None:
    """What the client's scopes say against it. Acts without letters are first-party only."""
    letters = LETTERS.get(action)
    if subject.scopes is None or action in SIGNING_IN or action is Action.BREAK_GLASS:
        return None
    if letters is None:
        return Reason.NO_SCOPE
    if type_ is None and action in READS:
        return None if ceilings else Reason.NO_SCOPE
    about = LEDGER if action in SPECIAL else type_ or ""
    return None if allows(subject.scopes, subject.role, about, letters) else Reason.NO_SCOPE


def basis_of(reach: Reach, purpose: Purpose) -> Basis:
    if purpose is Purpose.BTG:
        return Basis.BREAK_GLASS
    match reach:
        case OwnRecord():
            return Basis.OWN_RECORD
        case Consented():
            return Basis.CONSENT
        case Nobody():
            return Basis.HOUSE
        case Caseload() | Everyone():
            return Basis.INSIDE


def obligations_of(purpose: Purpose, *, outside: bool) -> frozenset[Obligation]:
    """The notice goes with what was disclosed with consent; a broken glass had none."""
    due = {Obligation.ACCOUNTING} if outside else set()
    if purpose is Purpose.BTG:
        due.add(Obligation.EMERGENCY_RECORD)
    elif outside:
        due.add(Obligation.NOTICE)
    return frozenset(due)


def author_of(subject: Subject, purpose: Purpose) -> ResourceId | None:
    """Own private passages show to their author at work, not to a supervisor as such."""
    staff = subject.role in (Role.PEER, Role.SUPERVISOR, Role.CLINICIAN)
    at_work = purpose in TREATMENT and subject.relation is Relation.INSIDE
    return subject.practitioner if staff and at_work else None
