"""What a caller may see, as a value: the gate fills it, `visible()` turns it into SQL.

A View names no record. Everything in it follows from role, relation, purpose, scopes and clock, so
two callers with equal Views get equal answers from equal stores.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from service.vocabulary import (
    EVERY_SENSITIVITY,
    SEPARATE,
    Confidentiality,
    Family,
    Micros,
    PatientId,
    ResourceId,
)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most a role ever sees of one resource type: labels up to these, these audiences."""

    conf: Confidentiality = Confidentiality.V
    families: Family = EVERY_SENSITIVITY | SEPARATE
    private: bool = False  # others' private passages; a caller's own are seen by `View.author`


@dataclass(frozen=True, slots=True)
class OwnRecord:
    """A participant: the record is theirs, no consent needed (42 CFR 2.23)."""

    patient: PatientId


@dataclass(frozen=True, slots=True)
class Caseload:
    """Staff: participants on a CareTeam with them, or with a peer they supervise."""

    practitioner: ResourceId
    supervises: bool = False


@dataclass(frozen=True, slots=True)
class Everyone:
    """All participants of the house: the compliance officer, the house's own import and EHR."""


@dataclass(frozen=True, slots=True)
class Consented:
    """An outside recipient: only what a permit in force opens (basis d of privacy, section 5)."""


@dataclass(frozen=True, slots=True)
class Nobody:
    """No participant at all, only house types: the administrator."""


Reach = OwnRecord | Caseload | Everyone | Consented | Nobody


@dataclass(frozen=True, slots=True)
class View:
    """`ceilings`: readable types; `writes`: writable ones.

    `recipients` are the names consent rules may know this caller by ('*' always among them).
    `purpose` is one v3-ActReason code; 'BTG' also needs a break-glass row of `principal`.
    `bound_by_denials` is False only where a deny cannot bind: the participant's own record.
    """

    at: Micros
    principal: str
    ceilings: Mapping[str, Ceiling]
    writes: frozenset[str]
    reach: Reach
    recipients: tuple[str, ...]
    purpose: str
    author: str | None = None
    bound_by_denials: bool = True
