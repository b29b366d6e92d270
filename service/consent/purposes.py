"""Which purposes of use a purpose in a consent stands for: lists, not the code tree.

In v3-ActReason BTG lies under ETREAT under TREAT, HLEGAL and FRAUD under HOPERAT, FAMRQT under
PATRQT: plain subsumption would let any consent for treatment break the glass (privacy, section 4).
"""

from collections.abc import Mapping

from service.vocabulary import Purpose

TREATMENT = frozenset({Purpose.TREAT, Purpose.COC, Purpose.ETREAT, Purpose.ERTREAT})
PAYMENT = frozenset(
    {
        Purpose.HPAYMT, Purpose.CLMATTCH, Purpose.COVAUTH, Purpose.COVERAGE, Purpose.ELIGDTRM,
        Purpose.ELIGVER, Purpose.ENROLLM, Purpose.REMITADV,
    }
)  # fmt: skip
OPERATIONS = frozenset(
    {
        Purpose.HOPERAT, Purpose.CAREMGT, Purpose.HCOMPL, Purpose.HQUALIMP, Purpose.HACCRED,
        Purpose.PERFMSR, Purpose.PATADMIN, Purpose.PATSFTY, Purpose.RECORDMGT,
    }
)  # fmt: skip
TPO = TREATMENT | PAYMENT | OPERATIONS
ANY_BUT_BTG = "*"

COVERS: Mapping[str, frozenset[Purpose]] = {
    Purpose.TREAT: TREATMENT,
    Purpose.HPAYMT: PAYMENT,
    Purpose.HOPERAT: OPERATIONS,
}
BELOW: Mapping[str, frozenset[Purpose]] = {
    Purpose.HOPERAT: frozenset({Purpose.HLEGAL}),
    Purpose.HRESCH: frozenset({Purpose.CLINTRCH}),
    Purpose.PATRQT: frozenset({Purpose.FAMRQT}),
}
"""What the tree also holds below a code: a deny reaches it, a permit does not."""

KNOWN: Mapping[str, Purpose] = {purpose.value: purpose for purpose in Purpose}


def covered(code: str) -> frozenset[str]:
    """The purposes a permit for `code` opens."""
    return frozenset(COVERS.get(code, {code}))


def struck(code: str) -> frozenset[str]:
    """The purposes a deny for `code` closes; never BTG unless it is named."""
    return covered(code) | BELOW.get(code, frozenset())
