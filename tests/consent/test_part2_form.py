"""42 CFR 2.31(a) and (c): which Consents can carry a permit, and which cannot.

The cases of part2_cases.json that concern a form, its expiry or the notice are built here. The
emergency cases (P2-E*) are in tests/access (policy, declaration); the accounting cases
(P2-A*) to the ledger; P2-D10, that a refusal looks like nothing there, to the gate.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from service.consent import notice
from service.consent.compile import MOST_ROWS, compile_rules
from service.consent.dates import span
from service.consent.decision import Held, Verdict, decide
from service.consent.directive import CONSENT_SCOPE, PARTICIPATION, ROLE_CODE, parse
from service.consent.element import Asker, Element
from service.consent.evaluate import evaluate
from service.consent.form import (
    EXPIRY_EVENT,
    EXTENSION,
    INTERMEDIARY,
    OUR_FORM,
    SIGNATURE,
    STATEMENT,
    Fault,
    Statement,
    faults,
)
from service.consent.notice import STATEMENT_1, STATEMENT_2, Holder, Redisclosure
from service.consent.recipients import RECIPIENT_CLASS, TPO_CLASS
from service.errors import Invalid
from service.vocabulary import (
    ACT_CODE,
    ACT_REASON,
    OPEN_START,
    Confidentiality,
    Family,
    Micros,
    ResourceId,
)

Change = Callable[[dict[str, Any]], None]
PATIENT = "Patient/11111111-1111-4111-8111-111111111111"
CLINIC = "Organization/22222222-2222-4222-8222-222222222222"


def coded(system: str, *codes: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code} for code in codes]}


def recipient(**reference: object) -> dict[str, Any]:
    return {"role": coded(PARTICIPATION, "IRCP"), "reference": reference}


def complete(*purposes: str) -> dict[str, Any]:
    """What our own consent capture stores, and a plain EHR consent with it: TPO to one clinic."""
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": coded(CONSENT_SCOPE, "patient-privacy"),
        "category": [coded("http://loinc.org", "59284-0")],
        "patient": {"reference": PATIENT},
        "dateTime": "2026-01-10",
        "performer": [{"reference": PATIENT}],
        "organization": [{"reference": "Organization/33333333-3333-4333-8333-333333333333"}],
        "sourceAttachment": {"contentType": "application/pdf", "title": "Signed form"},
        "policyRule": coded(ACT_CODE, "42CFRPart2CD"),
        "provision": {
            "type": "permit",
            "period": {"start": "2026-01-10", "end": "2026-12-31"},
            "actor": [recipient(reference=CLINIC)],
            "purpose": [
                {"system": ACT_REASON, "code": code}
                for code in purposes or ("TREAT", "HPAYMT", "HOPERAT")
            ],
        },
    }


def without(*path: str) -> Change:
    def change(consent: dict[str, Any]) -> None:
        inner = consent
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]

    return change


def with_(value: object, *path: str) -> Change:
    def change(consent: dict[str, Any]) -> None:
        inner = consent
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = value

    return change


def both(*changes: Change) -> Change:
    def change(consent: dict[str, Any]) -> None:
        for one in changes:
            one(consent)

    return change


def states(*told: Statement) -> Change:
    """The statements by our extension instead of by the policy."""
    return both(
        without("policyRule"),
        with_([{"url": STATEMENT, "valueCode": code.value} for code in told], "extension"),
    )


def purposes(*codes: str) -> Change:
    return with_(complete(*codes)["provision"]["purpose"], "provision", "purpose")


def labels(*codes: str) -> Change:
    return with_(
        [{"system": ACT_CODE, "code": code} for code in codes], "provision", "securityLabel"
    )


def by_representative(*actors: dict[str, Any]) -> Change:
    return both(
        with_([{"reference": "RelatedPerson/r1"}], "performer"),
        with_([recipient(reference=CLINIC), *actors], "provision", "actor"),
    )


MOTHER = {
    "role": coded(ROLE_CODE, "GUARD"),
    "reference": {"reference": "RelatedPerson/r1"},
}
BETWEEN = {
    "role": {
        "coding": [
            {"system": PARTICIPATION, "code": "IRCP"},
            {"system": INTERMEDIARY[0], "code": INTERMEDIARY[1]},
        ]
    },
    "reference": {"reference": "Organization/hie"},
}
TREATING = recipient(identifier={"system": RECIPIENT_CLASS, "value": "treating-provider"})
PLANS = recipient(identifier={"system": RECIPIENT_CLASS, "value": "health-plan"})
TPO_PHRASE = recipient(
    identifier={"system": RECIPIENT_CLASS, "value": TPO_CLASS},
    display="my treating providers, health plans, third-party payers, and people helping to "
    "operate this program",
)
NO_EXPIRY = without("provision", "period", "end")

VALID: dict[str, Change] = {
    "P2-V01": lambda _: None,
    "P2-V06": with_([TPO_PHRASE], "provision", "actor"),
    "P2-V11": purposes("PATRQT"),
    "P2-V14": NO_EXPIRY,
    "no period at all for TPO": without("provision", "period"),
    "statements by our extension": states(*Statement),
    "statements by the address of our form": both(
        without("policyRule"), with_([{"uri": OUR_FORM}], "policy")
    ),
    "not for TPO, so told of revocation only": both(
        purposes("HRESCH"), states(Statement.REVOCATION)
    ),
    "expires with the research study": both(
        purposes("HRESCH"),
        NO_EXPIRY,
        with_([{"url": EXPIRY_EVENT, "valueString": "end of the research study"}], "extension"),
    ),
    "verified instead of attached": both(
        without("sourceAttachment"),
        with_("generated", "text"),
        with_([{"verified": True}], "verification"),
    ),
    "a FHIR signature, and data named": both(
        without("sourceAttachment"),
        labels("SUD"),
        with_([{"url": SIGNATURE, "valueSignature": {"when": "2026-01-10"}}], "extension"),
    ),
    "a guardian whose authority is recorded": by_representative(MOTHER),
    "an intermediary and its treating members": with_(
        [BETWEEN, TREATING], "provision", "actor"
    ),
    "separate notes alone": labels("SUDCN"),
    "proceedings alone": purposes("HLEGAL"),
    "custodian as an actor": both(
        without("organization"),
        with_(
            [recipient(reference=CLINIC),
             {"role": coded(PARTICIPATION, "CST"), "reference": {"reference": "Organization/us"}}],
            "provision", "actor",
        ),
    ),
}  # fmt: skip

INVALID: dict[str, tuple[Change, Fault]] = {
    "P2-V02": (both(without("patient"), by_representative(MOTHER)), Fault.PATIENT),
    "P2-V03": (without("organization"), Fault.DISCLOSER),
    "no information described": (
        both(without("sourceAttachment"), with_([{"verified": True}], "verification")),
        Fault.INFORMATION,
    ),
    "P2-V05": (without("provision", "actor"), Fault.RECIPIENT),
    "a class we do not know": (
        with_(
            [recipient(identifier={"system": RECIPIENT_CLASS, "value": "x"})],
            "provision", "actor",
        ),
        Fault.RECIPIENT,
    ),
    "intermediary without members": (
        with_([BETWEEN], "provision", "actor"), Fault.INTERMEDIARY,
    ),
    "intermediary with a class not treating": (
        with_([BETWEEN, PLANS], "provision", "actor"), Fault.INTERMEDIARY,
    ),
    "P2-V09": (
        states(Statement.REVOCATION, Statement.REDISCLOSURE, Statement.REFUSAL),
        Fault.HIPAA_REDISCLOSURE,
    ),
    "no purpose": (without("provision", "purpose"), Fault.PURPOSE),
    "P2-V13": (
        states(Statement.HIPAA_REDISCLOSURE, Statement.REDISCLOSURE, Statement.REFUSAL),
        Fault.REVOCATION,
    ),
    "no expiry, not for TPO": (both(purposes("HRESCH"), NO_EXPIRY), Fault.EXPIRY),
    "no expiry, not only for TPO": (both(purposes("TREAT", "HRESCH"), NO_EXPIRY), Fault.EXPIRY),
    "P2-V18": (by_representative(), Fault.SIGNATURE),
    "nobody signed": (without("performer"), Fault.SIGNATURE),
    "no trace of a signature": (
        both(without("sourceAttachment"), labels("SUD")), Fault.SIGNATURE,
    ),
    "no date": (without("dateTime"), Fault.DATE),
    "P2-V19 redisclosure": (
        states(Statement.REVOCATION, Statement.HIPAA_REDISCLOSURE, Statement.REFUSAL),
        Fault.STATEMENTS,
    ),
    "P2-V19 refusal": (
        states(Statement.REVOCATION, Statement.HIPAA_REDISCLOSURE, Statement.REDISCLOSURE),
        Fault.STATEMENTS,
    ),
    "P2-V20": (labels("SUDCN", "SUD"), Fault.SEPARATE_NOTES),
    "P2-V20 beside an unlimited rule": (
        with_([{"type": "permit", "securityLabel": [{"system": ACT_CODE, "code": "SUDCN"}]}],
              "provision", "provision"),
        Fault.SEPARATE_NOTES,
    ),
    "P2-V22": (purposes("HLEGAL", "TREAT"), Fault.PROCEEDINGS),
}  # fmt: skip
ELSEWHERE = {"P2-V23", "P2-V24"}  # not a fault of the form: tests below


def changed(change: Change) -> dict[str, Any]:
    consent = deepcopy(complete())
    change(consent)
    return consent


@pytest.mark.parametrize("name", VALID)
def test_a_complete_form_has_no_fault(name: str) -> None:
    assert faults(changed(VALID[name]), UTC) == ()


@pytest.mark.parametrize("name", INVALID)
def test_a_missing_element_is_the_one_fault(name: str) -> None:
    change, fault = INVALID[name]
    assert faults(changed(change), UTC) == (fault,)


def test_every_published_case_of_a_form_is_built_here(data: Path) -> None:
    cases = json.loads((data / "consent" / "part2_cases.json").read_text())
    expected = {case["id"]: case["expect"] for case in cases["consent_validity"]}
    assert {x for x, expect in expected.items() if expect == "valid"} == {
        name for name in VALID if name.startswith("P2")
    }
    invalid = {x for x, expect in expected.items() if expect == "invalid"}
    assert invalid == {name.split()[0] for name in INVALID if name.startswith("P2")}
    assert set(expected) - invalid - set(VALID) == ELSEWHERE


def test_every_fault_has_a_case() -> None:
    assert {fault for _, fault in INVALID.values()} == set(Fault)


NOTE = Element(
    "DocumentReference", "d1", Confidentiality.R, Family.SUD, Micros(0), Micros(1)
)  # fmt: skip


def asker(day: str, purpose: str = "TREAT", *names: str) -> Asker:
    found = span(day, UTC)
    assert found
    return Asker(frozenset({"*", *(names or (CLINIC,))}), purpose, found[0])


def test_a_faulty_form_voids_the_permit_and_a_sound_one_opens_it() -> None:
    sound = compile_rules(complete(), received=OPEN_START, zone=UTC)
    faulty = compile_rules(changed(without("dateTime")), received=OPEN_START, zone=UTC)
    assert evaluate([sound], NOTE, asker("2026-06-01")) is Verdict.PERMIT
    assert faulty == ()


def test_a_faulty_form_still_denies() -> None:
    consent = complete()
    consent["provision"]["provision"] = [
        {"type": "deny", "securityLabel": [{"system": ACT_CODE, "code": "SUD"}]}
    ]
    del consent["dateTime"]
    rules = compile_rules(consent, received=OPEN_START, zone=UTC)
    assert {rule.effect for rule in rules} == {"deny"}
    assert evaluate([rules], NOTE, asker("2026-06-01")) is Verdict.DENY


def test_a_form_fault_is_asked_of_permits_only() -> None:
    assert faults(changed(with_({"type": "deny"}, "provision")), UTC) == ()


def test_consent_expires_by_its_date_to_the_end_of_the_day() -> None:  # P2-V23
    rules = [compile_rules(complete(), received=OPEN_START, zone=UTC)]
    assert evaluate(rules, NOTE, asker("2026-12-31T23:59:59Z")) is Verdict.PERMIT
    assert evaluate(rules, NOTE, asker("2027-01-01T00:00:00Z")) is Verdict.SILENT
    assert evaluate(rules, NOTE, asker("2026-01-09T23:59:59Z")) is Verdict.SILENT


def test_a_recorded_expiry_event_ends_it_as_a_date_does() -> None:  # P2-V23
    """Recording the event is a new version whose period ends with it."""
    consent = complete("HRESCH")
    consent["extension"] = [{"url": EXPIRY_EVENT, "valueString": "end of the research study"}]
    consent["provision"]["period"] = {"end": "2026-05-31"}
    rules = [compile_rules(consent, received=OPEN_START, zone=UTC)]
    assert evaluate(rules, NOTE, asker("2026-05-31", "HRESCH")) is Verdict.PERMIT
    assert evaluate(rules, NOTE, asker("2026-06-01", "HRESCH")) is Verdict.SILENT


def test_a_revoked_consent_compiles_to_nothing() -> None:  # P2-V24
    for status in ("inactive", "entered-in-error", "draft", "proposed", "rejected"):
        revoked = changed(with_(status, "status"))
        assert compile_rules(revoked, received=OPEN_START, zone=UTC) == ()
        held = Held(parse(revoked, UTC), OPEN_START)
        assert decide([held], NOTE, asker("2026-06-01")) is Verdict.SILENT


def test_a_consent_is_in_force_from_its_receipt() -> None:
    received = asker("2026-02-01").at
    rules = [compile_rules(complete(), received=received, zone=UTC)]
    assert evaluate(rules, NOTE, asker("2026-01-31")) is Verdict.SILENT
    assert evaluate(rules, NOTE, asker("2026-02-01")) is Verdict.PERMIT


def test_a_treatment_consent_covers_coordination_and_never_breaks_the_glass() -> None:
    rules = [compile_rules(complete("TREAT"), received=OPEN_START, zone=UTC)]
    for purpose, verdict in (
        ("COC", Verdict.PERMIT),
        ("ETREAT", Verdict.PERMIT),
        ("BTG", Verdict.SILENT),
        ("HPAYMT", Verdict.SILENT),
    ):
        assert evaluate(rules, NOTE, asker("2026-06-01", purpose)) is verdict


def test_an_unlimited_permit_never_opens_separate_notes() -> None:
    rules = [compile_rules(complete(), received=OPEN_START, zone=UTC)]
    for family in (Family.PSYTHPN, Family.SUDCN):
        note = replace(NOTE, families=Family.SUD | family)
        assert evaluate(rules, note, asker("2026-06-01")) is Verdict.SILENT
    own = [compile_rules(changed(labels("SUDCN")), received=OPEN_START, zone=UTC)]
    note = replace(NOTE, families=Family.SUDCN)
    assert evaluate(own, note, asker("2026-06-01")) is Verdict.PERMIT


def test_a_class_of_recipients_is_met_by_class() -> None:
    rules = [
        compile_rules(
            changed(with_([TPO_PHRASE], "provision", "actor")), received=OPEN_START, zone=UTC
        )
    ]
    treating = asker("2026-06-01", "TREAT", "class:treating-provider")
    assert evaluate(rules, NOTE, treating) is Verdict.PERMIT
    assert evaluate(rules, NOTE, asker("2026-06-01", "TREAT", "Organization/x")) is Verdict.SILENT


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (without("patient"), "Consent.patient"),
        (without("provision"), "Consent.provision.type"),
        (without("provision", "type"), "Consent.provision.type"),
        (with_("maybe", "provision", "type"), "Consent.provision.type"),
        (with_([{"url": "https://x.example"}], "modifierExtension"), "Consent.modifierExtension"),
        (with_([coded("http://loinc.org", "1")], "provision", "code"), "Consent.provision"),
        (
            with_([{"type": "deny", "provision": [{"type": "deny"}]}], "provision", "provision"),
            "Consent.provision.provision[0].provision",
        ),
        (
            with_(
                [{"type": "permit", "purpose": [{"system": "https://x.example", "code": "x"}]}],
                "provision", "provision",
            ),
            "Consent.provision.provision[0]",
        ),
    ],
    ids=[
        "no patient", "no provision", "no type", "unknown type", "modifier", "code",
        "third level", "foreign purpose",
    ],
)  # fmt: skip
def test_what_rows_cannot_express_is_refused_with_its_path(change: Change, path: str) -> None:
    with pytest.raises(Invalid) as refusal:
        compile_rules(changed(change), received=OPEN_START, zone=UTC)
    assert [issue.expression for issue in refusal.value.issues] == [path]


def test_rows_are_capped() -> None:
    many = [recipient(reference=f"Organization/o{number}") for number in range(MOST_ROWS // 21 + 1)]
    with pytest.raises(Invalid):
        compile_rules(changed(with_(many, "provision", "actor")), received=OPEN_START, zone=UTC)


def test_a_crowded_rule_is_refused_before_it_is_multiplied() -> None:
    def many(kind: str) -> list[dict[str, Any]]:
        return [{"meaning": "instance", "reference": {"reference": f"{kind}/{n}"}}
                for n in range(50_000)]  # fmt: skip

    consent = complete()
    consent["provision"] |= {
        "data": many("Encounter"),
        "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Goal"}] * 50_000,
    }
    with pytest.raises(Invalid) as refusal:
        compile_rules(consent, received=OPEN_START, zone=UTC)
    assert [issue.code for issue in refusal.value.issues] == ["too-costly"]


def test_a_rule_about_an_id_no_record_can_have_is_refused() -> None:
    consent = complete()
    consent["provision"]["data"] = [
        {"meaning": "related", "reference": {"reference": "Encounter/123"}}
    ]
    with pytest.raises(Invalid) as refusal:
        compile_rules(consent, received=OPEN_START, zone=UTC)
    assert [x.expression for x in refusal.value.issues] == ["Consent.provision.data.reference"]


def test_a_plain_consent_compiles_to_few_rows() -> None:
    assert len(compile_rules(complete("TREAT"), received=OPEN_START, zone=UTC)) == 4
    assert len(compile_rules(complete(), received=OPEN_START, zone=UTC)) == 21


CONSENT = ResourceId("44444444-4444-4444-8444-444444444444")


def permits() -> list[tuple[ResourceId, Any]]:
    rules = compile_rules(complete("TREAT"), received=OPEN_START, zone=UTC)
    return [(CONSENT, rule) for rule in rules]


def test_a_disclosure_with_consent_carries_notice_scope_and_marks() -> None:  # P2-D01
    carried = notice.obligations(permits(), Holder.COVERED_ENTITY, "TREAT")
    assert carried.notice == STATEMENT_1
    assert carried.redisclosure is Redisclosure.HIPAA_EXCEPT_PROCEEDINGS
    assert carried.explanation == (
        "This disclosure is made with the patient's written consent. "
        f"Consent/{CONSENT}: all record types, in force until 2027-01-01T00:00:00Z, "
        "for COC, ERTREAT, ETREAT, TREAT."
    )
    assert {mark["code"] for mark in notice.security(carried.marks)} == {
        "42CFRPart2", "NORDSCLCD", "PERSISTLABEL", "RedisclosureProhibitionMark",
    }  # fmt: skip


def test_no_disclosure_without_the_exact_notice_or_the_scope() -> None:  # P2-D03, P2-D04
    carried = notice.obligations(permits(), Holder.COVERED_ENTITY, "TREAT")
    for altered in ({"notice": ""}, {"notice": carried.notice + " "}, {"explanation": ""}):
        with pytest.raises(ValueError, match=r"2\.32"):
            replace(carried, **altered)
    with pytest.raises(ValueError, match=r"2\.32"):
        notice.obligations([], Holder.COVERED_ENTITY, "TREAT")


@pytest.mark.parametrize(
    ("holder", "purpose", "expected"),
    [
        (Holder.PROGRAM, "TREAT", Redisclosure.AS_CONSENTED),  # P2-D08
        (Holder.LAWFUL_HOLDER, "HPAYMT", Redisclosure.CONTRACTORS),  # P2-D09
        (Holder.LAWFUL_HOLDER, "HRESCH", Redisclosure.AS_CONSENTED),
        (Holder.COVERED_ENTITY, "HRESCH", Redisclosure.AS_CONSENTED),
    ],
)
def test_what_a_recipient_may_do_next(holder: Holder, purpose: str, expected: Redisclosure) -> None:
    assert notice.redisclosure(holder, purpose) is expected


def test_the_statements_are_byte_exact() -> None:
    """SHA-256 of the two texts of 42 CFR 2.32(a)(1) and (2), lines joined by a space."""
    digests = [sha256(text.encode()).hexdigest() for text in (STATEMENT_1, STATEMENT_2)]
    assert digests == [
        "d82205a18044f9f45776343d91e26d8ddb44bf13e136af169ec73d755facd9a8",
        "79fee3d6dff7e052183c61b66bfed589f0f45dcf330bb277e07b396bd12e9774",
    ]


def test_an_explanation_names_the_limits_of_a_permit() -> None:
    consent = changed(labels("HIV"))
    consent["provision"] |= {
        "dataPeriod": {"start": "2025-01-01", "end": "2025-12-31"},
        "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Encounter"}],
        "data": [{"meaning": "related", "reference": {"reference": f"Encounter/{CONSENT}"}}],
    }
    rules = compile_rules(consent, received=OPEN_START, zone=UTC)
    assert notice.scope(rules[0]) == (
        f"records of type Encounter (related {CONSENT}) up to confidentiality R, "
        "sensitivities HIV, dated from 2025-01-01T00:00:00Z before 2026-01-01T00:00:00Z, "
        "in force until 2027-01-01T00:00:00Z"
    )


def test_our_extensions_share_one_address() -> None:
    assert all(url.startswith(EXTENSION) for url in (STATEMENT, EXPIRY_EVENT, SIGNATURE))
