"""What somebody says who breaks the glass: the record that 42 CFR 2.51(c) wants, before the fact.

Pure. The gate refuses an incomplete declaration with the same words whether or not the patient
exists or anything is hidden, and writes a complete one into the participant's record.
"""

from dataclasses import dataclass

from service.errors import Invalid, Issue
from service.vocabulary import PatientId

TEXT_LIMIT = 2_000


@dataclass(frozen=True, slots=True)
class Declaration:
    """`recipient` and `facility`: the medical personnel's name and affiliation."""

    patient: PatientId
    reason: str  # the nature of the emergency
    recipient: str
    facility: str
    consent_unobtainable: bool  # "the patient's prior consent cannot be obtained"


def check(declaration: Declaration) -> None:
    """Raises Invalid naming every element that is missing."""
    issues = [
        Issue("required", "A declaration of an emergency names this.", name)
        for name in ("reason", "recipient", "facility")
        if not 0 < len(getattr(declaration, name).strip()) <= TEXT_LIMIT
    ]
    if not declaration.consent_unobtainable:
        text = "Where consent can be obtained, obtain it (42 CFR 2.51(a)(1))."
        issues.append(Issue("required", text, "consent_unobtainable"))
    if issues:
        raise Invalid("This declaration of an emergency is incomplete.", *issues)
