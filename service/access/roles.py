"""Role x purpose -> types: the minimum necessary, as a table (privacy, section 7;
45 CFR 164.514(d)).

To change who may see what, change a row here; policy.py only reads it. A role sees house types
(staff, places, questionnaires) always, and of a participant's record what its row says. No row
opens others' private passages but the participant's own, nor separate notes but to an outside
recipient, whom only a consent of their own lets see them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from service.consent.purposes import OPERATIONS, PAYMENT, TREATMENT
from service.vocabulary import (
    EVERY_SENSITIVITY,
    HOUSE_TYPES,
    SEPARATE,
    STORED_TYPES,
    Confidentiality,
    Family,
    Purpose,
    Relation,
    Role,
)

LEDGER = "AuditEvent"
GROUP = "Group"
KNOWN_TYPES = STORED_TYPES | {LEDGER, GROUP}
NEVER_DELETED = frozenset({"Patient", "DocumentReference", "Provenance", "Consent", LEDGER})
"""Withdrawn by a new version (entered in error, inactive), never by deletion."""

CORE = frozenset({"Patient", "Encounter", "DocumentReference", "Binary", "Provenance"})
PLAN = frozenset({"CareTeam", "CarePlan", "Goal"})
MEASURES = frozenset({"Observation", "QuestionnaireResponse"})
CARE = CORE | PLAN | MEASURES | {"ServiceRequest", "RelatedPerson"}
TEAM = CARE | {"Task", "Flag", "Communication", "Consent"}
NOTES = frozenset({"Encounter", "DocumentReference", "Binary", "Provenance"})
SESSION = NOTES | MEASURES | {"Goal", "ServiceRequest", "Task", "Flag", "Communication"}
STAFF_DIRECTORY = HOUSE_TYPES - {"Questionnaire"}


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most a role ever sees of one type; the gate turns it into records.view.Ceiling."""

    conf: Confidentiality
    families: Family = EVERY_SENSITIVITY
    private: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What one role may do for some purposes."""

    purposes: frozenset[Purpose]
    reads: frozenset[str]
    writes: frozenset[str] = frozenset()
    ceiling: Ceiling = Ceiling(Confidentiality.R)


INSIDE_ALL = Ceiling(Confidentiality.V)
OWN = Ceiling(Confidentiality.V, private=True)
BY_CONSENT = Ceiling(Confidentiality.V, EVERY_SENSITIVITY | SEPARATE)
EMERGENCY = frozenset({Purpose.BTG})
REGISTERED = frozenset(Purpose) - {
    Purpose.HSYSADMIN, Purpose.HCOMPL, Purpose.PATRQT, Purpose.FAMRQT, Purpose.BTG,
}  # fmt: skip
"""Purposes an EHR system can be registered for."""
RECORD = CARE | {"Condition"}
IMPORTED = RECORD | {"Consent", "Flag"} | STAFF_DIRECTORY

TABLE: Mapping[tuple[Role, Relation], tuple[Row, ...]] = MappingProxyType(
    {
        (Role.PEER, Relation.INSIDE): (
            Row(
                frozenset({Purpose.TREAT, Purpose.COC}),
                TEAM | {GROUP},
                SESSION | {"Consent", GROUP},  # a Consent is signed by the participant, beside them
            ),
        ),
        (Role.SUPERVISOR, Relation.INSIDE): (
            Row(
                frozenset({Purpose.HOPERAT}),
                TEAM | {GROUP},
                frozenset({"DocumentReference", "Provenance", "Task"}),
            ),
            Row(frozenset({Purpose.TREAT, Purpose.COC}), TEAM | {GROUP}, SESSION),  # covering
        ),
        (Role.CLINICIAN, Relation.INSIDE): (
            Row(TREATMENT, TEAM | {"Condition"}, SESSION | PLAN | {"Condition"}, INSIDE_ALL),
            Row(EMERGENCY, TEAM | {"Condition"}, frozenset(), INSIDE_ALL),
        ),
        (Role.CLINICIAN, Relation.OUTSIDE): (
            Row(TREATMENT, RECORD, frozenset(), BY_CONSENT),
            Row(EMERGENCY, RECORD, frozenset(), INSIDE_ALL),
        ),
        (Role.COMPLIANCE, Relation.INSIDE): (
            Row(
                frozenset({Purpose.HCOMPL}),
                frozenset({"Patient", "Consent", "Provenance", "Task", LEDGER}),
                frozenset({"Task"}),
                INSIDE_ALL,
            ),
        ),
        (Role.ADMINISTRATOR, Relation.INSIDE): (
            Row(frozenset({Purpose.HSYSADMIN}), frozenset(), HOUSE_TYPES),
        ),
        (Role.EHR, Relation.INSIDE): (
            Row(REGISTERED & PAYMENT, frozenset({"Patient", "Encounter"}), frozenset(), INSIDE_ALL),
            Row(
                TREATMENT | OPERATIONS & REGISTERED,
                IMPORTED - STAFF_DIRECTORY,
                IMPORTED,
                INSIDE_ALL,
            ),
            Row(EMERGENCY, RECORD, frozenset(), INSIDE_ALL),
        ),
        (Role.EHR, Relation.OUTSIDE): (
            Row(REGISTERED & PAYMENT, frozenset({"Patient", "Encounter"}), frozenset(), BY_CONSENT),
            Row(TREATMENT, RECORD, NOTES, BY_CONSENT),
            Row(REGISTERED - PAYMENT - TREATMENT, RECORD, frozenset(), BY_CONSENT),
            Row(EMERGENCY, RECORD, frozenset(), INSIDE_ALL),
        ),
    }
    | {
        (Role.PARTICIPANT, relation): (
            Row(
                frozenset({Purpose.PATRQT, Purpose.FAMRQT}),
                RECORD | {"Consent", "Flag", "Communication", LEDGER},
                frozenset(
                    {"Consent", "DocumentReference", "QuestionnaireResponse", "Communication"}
                ),
                OWN,
            ),
        )
        for relation in Relation
    }
)
