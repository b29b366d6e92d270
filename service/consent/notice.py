"""What must travel with a disclosure made with consent: 42 CFR 2.32, and marks on the Bundle.

A denied answer carries none of this: the notice itself would say what kind of record is hidden.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from service.consent.dates import EPOCH
from service.consent.families import each
from service.consent.purposes import OPERATIONS, PAYMENT, TPO
from service.consent.rule import Rule
from service.vocabulary import (
    ACT_CODE,
    EVERY_SENSITIVITY,
    OPEN_END,
    OPEN_START,
    PART2_LABEL,
    Confidentiality,
    Micros,
    ResourceId,
)

STATEMENT_1 = (
    "This record which has been disclosed to you is protected by Federal confidentiality rules "
    "(42 CFR part 2). These rules prohibit you from using or disclosing this record, or testimony "
    "that describes the information contained in this record, in any civil, criminal, "
    "administrative, or legislative proceedings by any Federal, State, or local authority, against "
    "the patient, unless authorized by the consent of the patient, except as provided at 42 CFR "
    "2.12(c)(5) or as authorized by a court in accordance with 42 CFR 2.64 or 2.65. In addition, "
    "the Federal rules prohibit you from making any other use or disclosure of this record unless "
    "at least one of the following applies: "
    "(i) Further use or disclosure is expressly permitted by the written consent of the individual "
    "whose information is being disclosed in this record or as otherwise permitted by 42 CFR "
    "part 2. "
    "(ii) You are a covered entity or business associate and have received the record for "
    "treatment, payment, or health care operations, or "
    "(iii) You have received the record from a covered entity or business associate as permitted "
    "by 45 CFR part 164, subparts A and E. "
    "A general authorization for the release of medical or other information is NOT sufficient to "
    "meet the required elements of written consent to further use or redisclose the record (see "
    "42 CFR 2.31)."
)
STATEMENT_2 = "42 CFR part 2 prohibits unauthorized use or disclosure of these records."
STATEMENTS = frozenset({STATEMENT_1, STATEMENT_2})

MARKS: tuple[tuple[str, str], ...] = (
    (ACT_CODE, PART2_LABEL),
    (ACT_CODE, "NORDSCLCD"),
    (ACT_CODE, "PERSISTLABEL"),
    (ACT_CODE, "RedisclosureProhibitionMark"),
)
"""Bundle.meta.security of a disclosure: (system, code)."""


class Holder(StrEnum):
    """What a recipient is, as its registration says; decides what it may do next (2.33(b))."""

    COVERED_ENTITY = "covered-entity"  # or business associate
    PROGRAM = "program"  # a Part 2 program that is neither
    LAWFUL_HOLDER = "lawful-holder"


class Redisclosure(StrEnum):
    """What 2.33 lets a recipient do with what it received with consent."""

    HIPAA_EXCEPT_PROCEEDINGS = "hipaa-except-proceedings"
    AS_CONSENTED = "as-consented"
    CONTRACTORS = "contractors-under-written-contract"


@dataclass(frozen=True, slots=True)
class Obligations:
    """What a disclosure carries. Frozen together: none of the four may go alone."""

    notice: str
    explanation: str
    marks: tuple[tuple[str, str], ...]
    redisclosure: Redisclosure

    def __post_init__(self) -> None:
        if self.notice not in STATEMENTS or not self.explanation:
            raise ValueError("a disclosure carries a statement of 2.32(a) and what 2.32(b) asks")


def obligations(
    rules: Sequence[tuple[ResourceId, Rule]], holder: Holder, purpose: str
) -> Obligations:
    """For a disclosure that rests on these permits: (Consent id, row)."""
    return Obligations(STATEMENT_1, explain(rules), MARKS, redisclosure(holder, purpose))


def redisclosure(holder: Holder, purpose: str) -> Redisclosure:
    if holder is Holder.COVERED_ENTITY and purpose in TPO:
        return Redisclosure.HIPAA_EXCEPT_PROCEEDINGS
    if holder is Holder.LAWFUL_HOLDER and purpose in PAYMENT | OPERATIONS:
        return Redisclosure.CONTRACTORS
    return Redisclosure.AS_CONSENTED


def explain(rules: Sequence[tuple[ResourceId, Rule]]) -> str:
    """2.32(b): a clear explanation of the scope of the consent, instead of a copy of it."""
    scopes: dict[str, set[str]] = {}
    for consent, rule in rules:
        if rule.effect == "permit":
            purposes = scopes.setdefault(f"Consent/{consent}: {scope(rule)}", set())
            purposes.add("any purpose" if rule.purpose == "*" else rule.purpose)
    if not scopes:
        return ""
    sentences = [
        f"{text}, for {', '.join(sorted(purposes))}." for text, purposes in sorted(scopes.items())
    ]
    return " ".join(["This disclosure is made with the patient's written consent.", *sentences])


def scope(rule: Rule) -> str:
    """What one permit opens, in words and codes; no value of any record."""
    what = "all record types" if rule.type == "*" else f"records of type {rule.type}"
    if rule.target:
        what += f" ({rule.target_kind} {rule.target})"
    if rule.conf < Confidentiality.V:
        what += f" up to confidentiality {Confidentiality(rule.conf).name}"
    if rule.families != EVERY_SENSITIVITY:
        codes = [str(family.name) for family in each(rule.families)]
        what += f", sensitivities {' '.join(codes)}" if codes else ", no sensitive category"
    what += dated(", dated", rule.data_lo, rule.data_hi)
    until = "" if rule.hi >= OPEN_END else f", in force until {moment(rule.hi)}"
    return what + until


def dated(lead: str, lo: Micros, hi: Micros) -> str:
    start = "" if lo <= OPEN_START else f" from {moment(lo)}"
    end = "" if hi >= OPEN_END else f" before {moment(hi)}"
    return f"{lead}{start}{end}" if start or end else ""


def moment(at: Micros) -> str:
    return (EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%SZ")


def security(codings: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """As Bundle.meta.security."""
    return [{"system": system, "code": code} for system, code in codings]
