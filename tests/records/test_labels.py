"""Labels only ever go up, and saying nothing hides everything."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from valid_resources import VALID, valid

from service.records.labels import HOUSE_LABELS, UNLABELLED, Labels, effective
from service.vocabulary import (
    ACT_CODE,
    ACT_REASON,
    AUDIENCE_LABEL,
    CONFIDENTIALITY,
    EVERY_SENSITIVITY,
    SEPARATE,
    Audience,
    Confidentiality,
    Family,
)

HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
INLINE = "http://hl7.org/fhir/uv/security-label-ds4p/StructureDefinition/extension-inline-sec-label"
TEAM, PRIVATE = Audience.TEAM, Audience.PRIVATE


def label(code: str) -> dict[str, Any]:
    """A coding in the system its code belongs to."""
    if code in ("team", "private"):
        return {"system": AUDIENCE_LABEL, "code": code}
    known = CONFIDENTIALITY if code in Confidentiality.__members__ else ACT_CODE
    return {"system": known, "code": code}


def labelled(*codes: str, **changes: object) -> dict[str, Any]:
    security = [label(code) for code in codes]
    return valid("Encounter") | {"meta": {"security": security}} | changes


CODES = st.sampled_from(
    [*Confidentiality.__members__, *Family.__members__, "42CFRPart2", "TBOO", "private"]
)


@pytest.mark.parametrize("kind", sorted(set(VALID) - {"Organization"}))
def test_an_unlabelled_resource_carries_every_sensitivity(kind: str) -> None:
    labels = effective(valid(kind))
    assert labels.conf is Confidentiality.R
    assert labels.families == EVERY_SENSITIVITY
    assert labels.audience is TEAM
    assert not labels.families & SEPARATE


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("N", Labels(Confidentiality.N, Family(0))),
        ("L", Labels(Confidentiality.L, Family(0))),
        ("PSY", Labels(Confidentiality.R, Family.PSY)),
        ("R PSY", Labels(Confidentiality.R, Family.PSY)),
        ("N V L", Labels(Confidentiality.V, Family(0))),
        ("N SUD MH", Labels(Confidentiality.N, Family.SUD | Family.MH)),
        ("N 42CFRPart2", Labels(Confidentiality.N, Family.SUD)),
        ("N TBOO", Labels(Confidentiality.N, Family.OTHER)),
        ("R PSYTHPN", Labels(Confidentiality.R, Family.PSYTHPN)),
        ("N NORDSCLCD PERSISTLABEL PROCESSINLINELABEL", Labels(Confidentiality.N, Family(0))),
        ("private", Labels(Confidentiality.R, EVERY_SENSITIVITY, PRIVATE)),
        ("N private team", Labels(Confidentiality.N, Family(0), PRIVATE)),
        ("N team", Labels(Confidentiality.N, Family(0), TEAM)),
        ("NORDSCLCD", UNLABELLED),
    ],
)
def test_stored_labels_are_read_as_they_stand(codes: str, expected: Labels) -> None:
    assert effective(labelled(*codes.split())) == expected


def test_codes_of_other_systems_are_no_labels() -> None:
    for security in (
        [{"system": ACT_REASON, "code": "HTEST"}],
        [{"code": "N"}],
        [{"system": "urn:x", "code": "N"}],
        [{"display": "normal"}],
    ):
        assert effective(valid("Encounter") | {"meta": {"security": security}}) == UNLABELLED


def test_a_code_we_do_not_know_is_read_strictly() -> None:
    strange = [
        {"system": CONFIDENTIALITY, "code": "X"},
        {"system": AUDIENCE_LABEL, "code": "nobody"},
    ]
    labels = effective(valid("Encounter") | {"meta": {"security": strange}})
    assert labels == Labels(Confidentiality.V, Family(0), PRIVATE)
    assert (
        effective(labelled() | {"meta": {"security": [{"system": CONFIDENTIALITY}]}}).conf
        is Confidentiality.V
    )


def test_a_documents_own_security_label_counts() -> None:
    resource = valid("DocumentReference") | {
        "securityLabel": [{"coding": [label("N"), label("MH")]}]
    }
    assert effective(resource) == Labels(Confidentiality.N, Family.MH)
    resource["meta"] = {"security": [label("V")]}
    assert effective(resource) == Labels(Confidentiality.V, Family.MH)


def test_house_types_are_normal_unless_somebody_raises_them() -> None:
    assert effective(valid("Organization")) == HOUSE_LABELS
    raised = valid("Organization") | {"meta": {"security": [label("V"), label("SUD")]}}
    assert effective(raised) == Labels(Confidentiality.V, Family.SUD)
    lowered = valid("Organization") | {"meta": {"security": [label("U")]}}
    assert effective(lowered) == HOUSE_LABELS


@pytest.mark.parametrize(
    ("system", "code", "family"),
    [
        (HCPCS, "H0038-HF", Family.SUD),
        (HCPCS, "HF", Family.SUD),
        (HCPCS.replace("http:", "https:"), "h0038:hf", Family.SUD),
        (HCPCS, "H0038 HE", Family.MH),
        (HCPCS, "G2078", Family.SUD | Family.OPIOIDUD),
        (ICD, "F10.20", Family.SUD | Family.ETHUD),
        (ICD, "F1120", Family.SUD | Family.OPIOIDUD),
        (ICD, "F33.1", Family.MH),
        (ICD, "R45.851", Family.MH),
        (ICD, "B20", Family.HIV),
        ("http://terminology.hl7.org/CodeSystem/service-type", "552", Family.SUD),
        ("http://snomed.info/sct", "7200002", Family.SUD | Family.ETHUD),
        ("http://loinc.org", "82667-7", Family.SUD),
        ("http://loinc.org", "34904-3", Family.MH),
        ("http://www.nlm.nih.gov/research/umls/rxnorm", "1819", Family.SUD | Family.OPIOIDUD),
    ],
)
def test_a_revealing_code_raises_the_label(system: str, code: str, family: Family) -> None:
    coded = {"serviceType": {"coding": [{"system": system, "code": code}]}}
    assert effective(labelled("N", **coded)) == Labels(Confidentiality.R, family)
    inside = {"contained": [{"resourceType": "Procedure", "code": coded["serviceType"]}]}
    assert effective(labelled("N", **inside)) == Labels(Confidentiality.R, family)


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (HCPCS, "H0038"),
        (HCPCS, "H0038-HQ"),
        (ICD, "F17.210"),
        (ICD, "J45.9"),
        ("http://snomed.info/sct", "308335008"),
        ("http://terminology.hl7.org/CodeSystem/service-type", "224"),
        ("urn:x", "HF"),
    ],
)
def test_an_ordinary_code_raises_nothing(system: str, code: str) -> None:
    coded = {"serviceType": {"coding": [{"system": system, "code": code}]}}
    assert effective(labelled("N", **coded)) == Labels(Confidentiality.N, Family(0))


def test_an_instrument_gives_itself_away() -> None:
    resource = valid("QuestionnaireResponse") | {"meta": {"security": [label("N")]}}
    assert effective(resource) == Labels(Confidentiality.R, Family.SUD)


def test_an_inline_label_holds_for_the_whole_resource() -> None:
    inline = {
        "reasonCode": [{"text": "a", "extension": [{"url": INLINE, "valueCoding": label("HIV")}]}]
    }
    assert effective(labelled("N", "SUD", **inline)) == Labels(
        Confidentiality.N, Family.SUD | Family.HIV
    )
    inline["reasonCode"][0]["extension"][0]["valueCoding"] = label("V")
    assert effective(labelled("N", **inline)).conf is Confidentiality.V
    inline["reasonCode"][0]["extension"][0]["valueCoding"] = label("L")
    assert effective(labelled("N", **inline)).conf is Confidentiality.N
    assert effective(valid("Encounter") | inline) == UNLABELLED


@given(st.lists(CODES, min_size=1), CODES)
def test_a_further_label_never_lowers_a_labelled_resource(codes: list[str], more: str) -> None:
    conf = [code for code in codes if code in Confidentiality.__members__] or ["R"]
    before = effective(labelled(*codes, *conf))
    after = effective(labelled(*codes, *conf, more))
    assert before.raised(after) == after


@given(st.permutations(["N", "V", "SUD", "MH", "private", "TBOO"]))
def test_the_order_of_labels_means_nothing(codes: list[str]) -> None:
    assert effective(labelled(*codes)) == effective(labelled(*sorted(codes)))


BITS = st.integers(0, int(EVERY_SENSITIVITY | SEPARATE)).map(Family)
LABELS = st.builds(Labels, st.sampled_from(Confidentiality), BITS, st.sampled_from(Audience))


@given(LABELS, LABELS, LABELS)
def test_raising_is_a_least_upper_bound(one: Labels, other: Labels, third: Labels) -> None:
    assert one.raised(one) == one
    assert one.raised(other) == other.raised(one)
    assert one.raised(other).raised(third) == one.raised(other.raised(third))
    assert one.raised(other).conf >= one.conf
    assert one.raised(other).families & one.families == one.families
