"""The answers of the policy, as values: what an act may at most see and write, or why not.

They mirror records/view.py, which the policy may not know: rules are pure, and the store is below
the gate. The gate turns a Permit into a View.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from service.access.roles import Ceiling
from service.vocabulary import Micros, PatientId, Purpose, ResourceId


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """A participant's own record: no consent needed (42 CFR 2.23)."""

    patient: PatientId


@dataclass(frozen=True, slots=True)
class Caseload:
    """Participants on a CareTeam with this practitioner, or with a peer they supervise."""

    practitioner: ResourceId
    supervises: bool = False


@dataclass(frozen=True, slots=True)
class Everyone:
    """All participants; for a broken glass, those it was broken for."""


@dataclass(frozen=True, slots=True)
class Consented:
    """What a permit in force opens."""


@dataclass(frozen=True, slots=True)
class Nobody:
    """No participant: house types alone."""


Reach = OwnRecord | Caseload | Everyone | Consented | Nobody


class Basis(StrEnum):
    """By what right; the gate adds the Consent's id where it is consent."""

    OWN_RECORD = "own-record"
    INSIDE = "inside"
    CONSENT = "consent"
    BREAK_GLASS = "break-glass"
    HOUSE = ""  # concerns no participant


class Obligation(StrEnum):
    """What the gate must see to before an answer leaves."""

    NOTICE = "notice"  # 2.32 statement, scope of the consent, marks on the Bundle
    ACCOUNTING = "accounting"  # a disclosure entry: 164.528, 2.25
    EMERGENCY_RECORD = "emergency-record"  # 2.51(c): in the chart, immediately


class Refusal(StrEnum):
    """How a refusal looks from outside; neither depends on any record."""

    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN_OPERATION = "forbidden-operation"


class Reason(StrEnum):
    """Why, for compliance alone (171.202 asks for one per denial)."""

    NO_PURPOSE = "no-purpose"
    PURPOSE_NOT_ENTITLED = "purpose-not-entitled"
    PURPOSE_NOT_OF_ROLE = "purpose-not-of-role"
    NOT_MEDICAL = "not-medical"
    UNKNOWN_TYPE = "unknown-type"
    TYPE_NOT_OF_ROLE = "type-not-of-role"
    ACTION_NOT_OF_ROLE = "action-not-of-role"
    NEVER_DELETED = "never-deleted"
    NO_SCOPE = "no-scope"
    NOBODY = "nobody"  # a sign-in that stands for no practitioner or participant


@dataclass(frozen=True, slots=True)
class Permit:
    """The most this act may see and write. `patient_required`: only about one named patient."""

    at: Micros
    principal: str
    ceilings: Mapping[str, Ceiling]
    writes: frozenset[str]
    reach: Reach
    recipients: tuple[str, ...]
    purpose: Purpose
    basis: Basis
    obligations: frozenset[Obligation]
    author: ResourceId | None = None  # whose own private passages show
    bound_by_denials: bool = True
    patient_required: bool = False


@dataclass(frozen=True, slots=True)
class Deny:
    refusal: Refusal
    reason: Reason
