"""The field's own words as types: ids, roles, actions, purposes of use, labels, resource types.

Glossary: docs/glossary.md. Codes are HL7's where HL7 has one (v3-ActReason, v3-ActCode,
v3-Confidentiality); nothing here knows a database, a request or a clock.
"""

import re
from enum import IntEnum, IntFlag, StrEnum
from typing import NewType, TypeGuard

Micros = NewType("Micros", int)
"""Microseconds since 1970-01-01T00:00:00Z."""
ResourceId = NewType("ResourceId", str)
"""A lower-case hyphenated UUID: the logical id of a FHIR resource."""
PatientId = NewType("PatientId", str)
"""The participant whose key seals a row, or HOUSE for resources about no participant."""
TenantId = NewType("TenantId", str)
EntryId = NewType("EntryId", str)
"""UUIDv7 of a ledger entry."""

HOUSE = PatientId("00000000-0000-4000-8000-000000000000")
"""Owner of what concerns no participant: staff, organisations, locations, questionnaires."""
OPEN_START = Micros(-(2**62))
OPEN_END = Micros(2**62)
"""Stand for minus and plus infinity in half-open intervals [lo, hi)."""


class Role(StrEnum):
    """What a caller is to this house (privacy reference, section 7)."""

    PEER = "peer-specialist"
    SUPERVISOR = "supervisor"
    CLINICIAN = "clinician"
    COMPLIANCE = "compliance-officer"
    ADMINISTRATOR = "administrator"
    PARTICIPANT = "participant"
    EHR = "ehr-system"


class Relation(StrEnum):
    """Where a caller stands to the Part 2 program: inside is use, outside is disclosure."""

    INSIDE = "inside"
    OUTSIDE = "outside"


class Action(StrEnum):
    """What a caller asks to do; the closed set the gate decides on and the ledger records."""

    READ = "read"
    VREAD = "vread"
    HISTORY = "history"
    SEARCH = "search"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    SYNC_PUSH = "sync-push"
    IMPORT = "import"
    SIGN_IN = "sign-in"
    TOKEN = "token"  # noqa: S105 (the act of issuing one)
    REVOKE = "revoke"
    INTROSPECT = "introspect"
    ACCOUNT = "account"
    BREAK_GLASS = "break-glass"
    AUDIT_SEARCH = "audit-search"
    AUDIT_PROOF = "audit-proof"
    ACCOUNTING = "accounting"
    RECORD = "record"  # the ledger's own acts: streams, gaps, rejects


WRITES = frozenset(
    {
        Action.CREATE,
        Action.UPDATE,
        Action.DELETE,
        Action.SYNC_PUSH,
        Action.IMPORT,
        Action.BREAK_GLASS,
    }
)


class Purpose(StrEnum):
    """Purpose of use, v3-ActReason; a closed list, never the code tree (privacy, section 4)."""

    TREAT = "TREAT"
    COC = "COC"
    ETREAT = "ETREAT"
    ERTREAT = "ERTREAT"
    BTG = "BTG"
    HPAYMT = "HPAYMT"
    CLMATTCH = "CLMATTCH"
    COVAUTH = "COVAUTH"
    COVERAGE = "COVERAGE"
    ELIGDTRM = "ELIGDTRM"
    ELIGVER = "ELIGVER"
    ENROLLM = "ENROLLM"
    REMITADV = "REMITADV"
    HOPERAT = "HOPERAT"
    CAREMGT = "CAREMGT"
    HCOMPL = "HCOMPL"
    HQUALIMP = "HQUALIMP"
    HACCRED = "HACCRED"
    PERFMSR = "PERFMSR"
    PATADMIN = "PATADMIN"
    PATSFTY = "PATSFTY"
    RECORDMGT = "RECORDMGT"
    HSYSADMIN = "HSYSADMIN"
    PATRQT = "PATRQT"
    FAMRQT = "FAMRQT"
    HRESCH = "HRESCH"
    CLINTRCH = "CLINTRCH"
    HMARKT = "HMARKT"
    PUBHLTH = "PUBHLTH"
    HLEGAL = "HLEGAL"


class Confidentiality(IntEnum):
    """v3-Confidentiality, ordered; a resource without one counts as R."""

    U = 0
    L = 1
    M = 2
    N = 3
    R = 4
    V = 5


class Family(IntFlag):
    """Sensitivities as bits. Closure between them is consent's business, not arithmetic's."""

    ETH = 1
    SUD = 2
    ETHUD = 4
    OPIOIDUD = 8
    PSY = 16
    MH = 32
    BH = 64
    EMOTDIS = 128
    COGN = 256
    DVD = 512
    SPI = 1024
    PSYTHPN = 2048
    HIV = 4096
    STD = 8192
    SEX = 16384
    GDIS = 32768
    SDV = 65536
    SUDCN = 131072  # SUD counseling notes kept separate, 42 CFR 2.31(b)
    OTHER = 262144  # any code we do not know: a family of its own


SEPARATE = Family.PSYTHPN | Family.SUDCN
"""Separate notes: only a consent of their own opens them (45 CFR 164.508, 42 CFR 2.31(b))."""
EVERY_SENSITIVITY = Family(2**19 - 1) & ~SEPARATE
"""What an unlabelled resource carries until somebody labels it (privacy, section 3, row 11)."""


class Audience(StrEnum):
    """For whom a passage was written (design D9)."""

    TEAM = "team"
    PRIVATE = "private"  # between participant and author


ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
PART2_LABEL = "42CFRPart2"
AUDIENCE_LABEL = "https://peernotes.example/fhir/CodeSystem/audience"
"""System of the one label of our own, `private` or `team` (class Audience), in meta.security."""

PATIENT_TYPES = frozenset(
    {
        "Patient", "Encounter", "DocumentReference", "Binary", "Consent", "Provenance",
        "CareTeam", "CarePlan", "Goal", "Condition", "Observation", "QuestionnaireResponse",
        "ServiceRequest", "Task", "Flag", "Communication", "RelatedPerson",
    }
)  # fmt: skip
"""Types sealed under a participant's key."""
HOUSE_TYPES = frozenset(
    {"Practitioner", "PractitionerRole", "Organization", "Location", "Questionnaire"}
)
"""Types about no participant, sealed under the house key."""
STORED_TYPES = PATIENT_TYPES | HOUSE_TYPES

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def is_id(value: object) -> TypeGuard[str]:
    """Whether a record could have this id: ids here are lower-case hyphenated UUIDs."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None
