"""The declaration of an emergency: each element of 42 CFR 2.51(c) is asked for (P2-E05)."""

from dataclasses import replace

import pytest

from service.access.declaration import TEXT_LIMIT, Declaration, check
from service.errors import Invalid
from service.vocabulary import PatientId

COMPLETE = Declaration(
    patient=PatientId("33333333-3333-4333-8333-333333333333"),
    reason="Unresponsive, overdose suspected",
    recipient="A. Physician",
    facility="County Hospital, emergency department",
    consent_unobtainable=True,
)


def test_a_complete_declaration_passes() -> None:
    check(COMPLETE)


@pytest.mark.parametrize("name", ["reason", "recipient", "facility"])
@pytest.mark.parametrize("value", ["", "  ", "x" * (TEXT_LIMIT + 1)], ids=["none", "blank", "long"])
def test_each_element_is_required(name: str, value: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check(replace(COMPLETE, **{name: value}))
    assert [issue.expression for issue in refusal.value.issues] == [name]
    assert value.strip() == "" or value not in str(refusal.value.issues)


def test_where_consent_could_be_obtained_the_glass_holds() -> None:  # P2-E05
    with pytest.raises(Invalid) as refusal:
        check(replace(COMPLETE, consent_unobtainable=False))
    assert [issue.expression for issue in refusal.value.issues] == ["consent_unobtainable"]
