"""How the actors of a Consent and the callers of this service come to the same names.

A rule's recipient is one of: '*' (nobody was named: anyone), 'Organization/<id>',
'Practitioner/<id>', 'role:<code>' (service/vocabulary.py Role), 'class:<code>' (CLASSES below).

A provision names recipients by actors in the roles IRCP and PRCP. Their `reference` is a relative
reference, or, for a class or role, a logical one: `{"identifier": {"system": RECIPIENT_CLASS,
"value": "treating-provider"}}`; the value 'tpo' is the whole phrase of 42 CFR 2.31(a)(4)(i), "my
treating providers, health plans, third-party payers, and people helping to operate this program".
Actors that say who discloses (CST) or who signs for the patient (GUARD, POWATT ...) name nobody;
any other role, and Groups, CareTeams and roles whose members we do not know, are not evaluated.
"""

from typing import Final

from service.consent.purposes import OPERATIONS, PAYMENT, TREATMENT
from service.vocabulary import Purpose, ResourceId, Role

ANYONE = "*"
RECIPIENT_CLASS = "https://peernotes.example/fhir/CodeSystem/recipient-class"
RECIPIENT_ROLE = "https://peernotes.example/fhir/CodeSystem/recipient-role"
TREATING, PLAN, PAYER, OPERATOR = (
    "treating-provider", "health-plan", "third-party-payer", "program-operation",
)  # fmt: skip
CLASSES: Final = frozenset({TREATING, PLAN, PAYER, OPERATOR})
TPO_CLASS = "tpo"


def class_names(value: str) -> tuple[str, ...]:
    """The names a class in a Consent stands for; none when we do not know it."""
    if value == TPO_CLASS:
        return tuple(sorted(f"class:{code}" for code in CLASSES))
    return (f"class:{value}",) if value in CLASSES else ()


def names_of(
    *,
    role: Role,
    organisation: ResourceId | None,
    practitioner: ResourceId | None,
    purpose: Purpose,
) -> tuple[str, ...]:
    """Every name by which a rule may mean this caller; '*' first, the rest sorted.

    Classes follow from the purpose, which is claimed and entitled: who may ask for TREAT is a
    treating provider in saying so, who may ask for HPAYMT a plan or payer. Participants,
    administrators and compliance officers belong to no class.
    """
    names = {f"role:{role}"}
    if organisation:
        names.add(f"Organization/{organisation}")
    if practitioner:
        names.add(f"Practitioner/{practitioner}")
    if role not in {Role.PARTICIPANT, Role.ADMINISTRATOR, Role.COMPLIANCE}:
        if purpose in TREATMENT or purpose is Purpose.BTG:
            names.add(f"class:{TREATING}")
        if purpose in PAYMENT:
            names.update({f"class:{PLAN}", f"class:{PAYER}"})
        if purpose in OPERATIONS:
            names.add(f"class:{OPERATOR}")
    return (ANYONE, *sorted(names))
