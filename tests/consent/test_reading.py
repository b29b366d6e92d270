"""The thirteen points on which dialects of Consent disagree, one by one, on both evaluators."""

from dataclasses import replace
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.consent.compile import compile_rules
from service.consent.dates import period, span
from service.consent.decision import Held, Verdict, decide
from service.consent.directive import CONSENT_ACTION, CONSENT_SCOPE, PARTICIPATION, parse
from service.consent.element import Asker, Element
from service.consent.evaluate import evaluate
from service.consent.families import denies, permits
from service.consent.recipients import RECIPIENT_ROLE
from service.errors import Invalid
from service.vocabulary import (
    ACT_CODE,
    ACT_REASON,
    CONFIDENTIALITY,
    EVERY_SENSITIVITY,
    OPEN_END,
    OPEN_START,
    Confidentiality,
    Family,
    Micros,
)

E1, D1, P1, P2 = (f"00000000-0000-4000-8000-00000000000{n}" for n in range(1, 5))
JUNE, JULY = span("2026-06", UTC) or (OPEN_START, OPEN_END)
ENCOUNTER = Element("Encounter", E1, Confidentiality.N, Family(0), JUNE, Micros(JUNE + 1))
NOTE = replace(
    ENCOUNTER, type="DocumentReference", id=D1, refers=frozenset({f"Encounter/{E1}", "Patient/x"})
)
UNLABELLED = replace(NOTE, conf=Confidentiality.R, families=EVERY_SENSITIVITY)
CLINIC = Asker(frozenset({"*", "Organization/o1", "role:ehr-system"}), "TREAT", JULY)
P, D, S = Verdict.PERMIT, Verdict.DENY, Verdict.SILENT


def consent(provision: dict[str, Any], base: str | None = None, **more: Any) -> dict[str, Any]:
    found = {
        "status": "active",
        "patient": {"reference": "Patient/x"},
        "scope": {"coding": [{"system": CONSENT_SCOPE, "code": "patient-privacy"}]},
        "provision": provision,
    }
    if base:
        found["policyRule"] = {"coding": [{"system": ACT_CODE, "code": base}]}
    return found | more


def labels(*codes: str) -> dict[str, Any]:
    return {
        "securityLabel": [
            {"system": CONFIDENTIALITY if len(code) == 1 else ACT_CODE, "code": code}
            for code in codes
        ]
    }


def purposes(*codes: str) -> dict[str, Any]:
    return {"purpose": [{"system": ACT_REASON, "code": code} for code in codes]}


def to(reference: str, role: str = "IRCP") -> dict[str, Any]:
    return {
        "actor": [
            {
                "role": {"coding": [{"system": PARTICIPATION, "code": role}]},
                "reference": {"reference": reference},
            }
        ]
    }


def about(reference: str, meaning: str = "instance") -> dict[str, Any]:
    return {"data": [{"meaning": meaning, "reference": {"reference": reference}}]}


def permit(*nested: dict[str, Any], **criteria: Any) -> dict[str, Any]:
    return {"type": "permit", **criteria} | ({"provision": list(nested)} if nested else {})


def deny(*nested: dict[str, Any], **criteria: Any) -> dict[str, Any]:
    return permit(*nested, **criteria) | {"type": "deny"}


def slow(*consents: dict[str, Any], element: Element = NOTE, asker: Asker = CLINIC) -> Verdict:
    return decide([Held(parse(c, UTC), OPEN_START) for c in consents], element, asker)


def verdict(*consents: dict[str, Any], element: Element = NOTE, asker: Asker = CLINIC) -> Verdict:
    """Of both evaluators, which must agree."""
    rows = [compile_rules(c, received=OPEN_START, zone=UTC, part2=False) for c in consents]
    found = evaluate(rows, element, asker)
    assert found is slow(*consents, element=element, asker=asker)
    return found


def claiming(purpose: str) -> Asker:
    return replace(CLINIC, purpose=purpose)


def test_1_an_untyped_rule_can_only_narrow() -> None:
    for base, criteria, expected in (
        ("OPTIN", {}, D),
        ("OPTIN", to("Organization/o2"), S),
        ("OPTOUT", to("Organization/o2"), D),
        (None, {}, D),
    ):
        untyped = consent(dict(criteria), base)
        assert slow(untyped) is expected
        with pytest.raises(Invalid):
            verdict(untyped)
    nested = {"provision": [{"type": "permit"}]}
    assert slow(consent(dict(nested), "OPTIN")) is D
    assert slow(consent({"provision": [{}], "type": "permit"})) is D
    assert slow({**consent({}), "provision": None}) is S


def test_2_a_nested_type_is_honoured() -> None:
    assert verdict(consent(permit(deny(**labels("SUD"))))) is P
    sud = replace(NOTE, families=Family.SUD)
    assert verdict(consent(permit(deny(**labels("SUD")))), element=sud) is D
    assert verdict(consent(deny(permit(**labels("SUD")))), element=sud) is P
    additive = permit(permit(**labels("R", "SUD")), **labels("N"))
    assert verdict(consent(additive), element=sud) is P


def test_3_root_criteria_mean_nothing_but() -> None:
    only = consent(permit(**about(f"Encounter/{E1}")))
    assert verdict(only, element=ENCOUNTER) is P
    assert verdict(only) is S


def test_4_a_level_is_a_ceiling_for_a_permit_and_a_floor_for_a_deny() -> None:
    for level, permitted, denied in (("L", S, D), ("N", P, D), ("R", P, P), ("V", P, P)):
        assert verdict(consent(permit(**labels(level)))) is permitted
        assert verdict(consent(permit(deny(**labels(level))))) is denied


def test_5_a_permit_that_names_labels_names_every_sensitivity() -> None:
    both = replace(NOTE, conf=Confidentiality.R, families=Family.PSY | Family.HIV)
    for names, expected in (
        (("R",), S), (("PSY",), S), (("PSY", "HIV"), P), (("R", "MH", "HIV"), P), ((), P),
    ):  # fmt: skip
        criteria = labels(*names) if names else {}
        assert verdict(consent(permit(**criteria)), element=both) is expected
    severe = replace(both, conf=Confidentiality.V)
    assert verdict(consent(permit(**labels("PSY", "HIV"))), element=severe) is S


def test_6_nested_rules_inherit_actor_and_purpose_and_add_to_the_scope() -> None:
    sud = replace(NOTE, conf=Confidentiality.R, families=Family.SUD)
    root = purposes("TREAT") | labels("N") | to("Organization/o1")
    focused = consent(permit(permit(**labels("R", "SUD")), **root))
    assert verdict(focused, element=sud) is P
    assert verdict(focused, element=sud, asker=claiming("HPAYMT")) is S
    assert verdict(focused, element=sud, asker=replace(CLINIC, names=frozenset({"*"}))) is S
    research = consent(permit(permit(**purposes("HRESCH"), **labels("SUD")), **root))
    assert verdict(research, element=sud, asker=claiming("HRESCH")) is P
    assert verdict(research, asker=claiming("HRESCH")) is P
    assert verdict(research, element=sud) is S
    added = consent(permit(permit(**purposes("HRESCH"), **about(f"Encounter/{E1}")), **root))
    for element in (NOTE, ENCOUNTER):
        assert verdict(added, element=element, asker=claiming("HRESCH")) is P
    bare = consent(permit(permit(**purposes("HRESCH")), **root))
    assert verdict(bare, asker=claiming("HRESCH")) is P
    assert verdict(bare, element=sud, asker=claiming("HRESCH")) is S


def test_7_any_deny_wins_whatever_the_order_or_date() -> None:
    yes, no = consent(permit(), dateTime="2026-01-02"), consent(deny(), dateTime="2020-01-01")
    assert verdict(yes, no) is verdict(no, yes) is D
    exception = consent(deny(permit()))
    assert verdict(exception) is P
    assert verdict(exception, no) is D


def test_8_outside_a_permit_is_silence_so_two_permits_add_up() -> None:
    one, two = (consent(permit(**about(x))) for x in (f"Encounter/{E1}", f"DocumentReference/{D1}"))
    assert verdict(one) is S
    assert verdict(one, two) is verdict(one, two, element=ENCOUNTER) is P


def test_9_btg_is_named_or_it_is_not_meant() -> None:
    for criteria, expected in (
        ({}, S), (purposes("TREAT", "ETREAT", "ERTREAT"), S), (purposes("BTG"), P),
    ):  # fmt: skip
        assert verdict(consent(permit(**criteria)), asker=claiming("BTG")) is expected
    assert verdict(consent(deny()), asker=claiming("BTG")) is S
    assert verdict(consent(deny(**purposes("BTG"))), asker=claiming("BTG")) is D


def test_10_no_consent_is_silence() -> None:
    assert decide([], NOTE, CLINIC) is evaluate([], NOTE, CLINIC) is S


def test_11_an_unlabelled_record_is_restricted_and_of_every_sensitivity() -> None:
    assert verdict(consent(permit()), element=UNLABELLED) is P
    assert verdict(consent(permit(**labels("R"))), element=UNLABELLED) is S
    assert verdict(consent(permit(deny(**labels("HIV")))), element=UNLABELLED) is D


def test_12_related_reaches_one_hop_and_a_deny_both_ways() -> None:
    related = about(f"Encounter/{E1}", "related")
    assert verdict(consent(permit(**related))) is P
    assert verdict(consent(permit(**related)), element=ENCOUNTER) is P
    place = replace(NOTE, type="CarePlan", id="c1", refers=frozenset(),
                    referred=frozenset({f"Encounter/{E1}"}))  # fmt: skip
    assert verdict(consent(permit(**related)), element=place) is S
    withheld = consent(permit(deny(**related)))
    for element in (NOTE, ENCOUNTER, place):
        assert verdict(withheld, element=element) is D
    person = replace(place, type="Patient", id="x")
    assert verdict(withheld, element=person) is P


def test_12_an_author_is_the_recorded_one_for_a_permit_any_stated_for_a_deny() -> None:
    written = about(f"Practitioner/{P1}", "authoredby")
    recorded = replace(NOTE, author=f"Practitioner/{P1}")
    stated = replace(NOTE, author=f"Practitioner/{P2}", authors=frozenset({f"Practitioner/{P1}"}))
    assert verdict(consent(permit(**written)), element=recorded) is P
    assert verdict(consent(permit(**written)), element=stated) is S
    for element in (recorded, stated):
        assert verdict(consent(permit(deny(**written))), element=element) is D


def test_13_a_third_level_denies_if_stored_and_never_permits() -> None:
    third = consent(permit({"type": "deny", **labels("SUD"), "provision": [{"type": "deny"}]}))
    assert slow(third) is D
    assert slow(consent(deny(deny(permit(), **labels("SUD"))))) is D
    with pytest.raises(Invalid):
        verdict(third)


@pytest.mark.parametrize(
    ("element", "permitted", "denied"),
    [("inside", P, D), ("across", S, D), ("outside", S, P), ("undated", S, D)],
)
def test_data_dates_lie_inside_to_open_and_overlap_to_close(
    element: str, permitted: Verdict, denied: Verdict
) -> None:
    dated = {
        "inside": NOTE,
        "across": replace(NOTE, hi=Micros(JULY + 1)),
        "outside": replace(NOTE, lo=JULY, hi=Micros(JULY + 1)),
        "undated": replace(NOTE, lo=OPEN_START, hi=OPEN_END),
    }[element]
    june = {"dataPeriod": {"start": "2026-06-01", "end": "2026-06-30"}}
    assert verdict(consent(permit(**june)), element=dated) is permitted
    assert verdict(consent(permit(deny(**june))), element=dated) is denied


UNREAD: dict[str, dict[str, Any]] = {
    "code": {"code": [{"coding": [{"system": "http://loinc.org", "code": "1"}]}]},
    "modifier": {"modifierExtension": [{"url": "https://x.example"}]},
    "label system": {"securityLabel": [{"system": "https://x.example", "code": "R"}]},
    "handling label": labels("42CFRPart2"),
    "class system": {"class": [{"system": "urn:ietf:bcp:13", "code": "application/pdf"}]},
    "purpose system": {"purpose": [{"system": "https://x.example", "code": "TREAT"}]},
    "data meaning": about(f"Encounter/{E1}", "somehow"),
    "contained data": about("#e1"),
    "actor elsewhere": to("https://x.example/Organization/o1"),
    "actor role": to("Organization/o1", "AUT"),
    "custodian only": to("Organization/o1", "CST"),
    "group": to("Group/g1"),
    "period": {"period": {"start": "soon"}},
    "period backwards": {"period": {"start": "2026-02-01", "end": "2026-01-01"}},
    "data period": {"dataPeriod": {}},
}


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_not_evaluated_matches_for_a_deny_and_not_for_a_permit(name: str) -> None:
    assert slow(consent(permit(**UNREAD[name]))) is S
    assert verdict(consent(permit(deny(**UNREAD[name])))) is D
    assert verdict(consent(deny(**UNREAD[name]))) is D


def test_one_recipient_we_cannot_follow_makes_a_deny_about_anyone() -> None:
    two = {"actor": [*to("Organization/o2")["actor"], *UNREAD["actor elsewhere"]["actor"]]}
    assert verdict(consent(permit(deny(**to("Organization/o2"))))) is P
    assert verdict(consent(permit(deny(**two)))) is D
    assert verdict(consent(permit(**two))) is S


def test_a_permit_must_be_to_access_or_disclose() -> None:
    for action, expected in (("access", P), ("disclose", P), ("correct", S), ("use", S)):
        said = {"action": [{"coding": [{"system": CONSENT_ACTION, "code": action}]}]}
        assert slow(consent(permit(**said))) is expected
        assert slow(consent(deny(**said))) is D


def test_a_consent_to_treatment_is_not_one_to_disclosure() -> None:
    treatment = {"coding": [{"system": CONSENT_SCOPE, "code": "treatment"}]}
    assert verdict(consent(permit(), scope=treatment)) is S
    assert verdict(consent(deny(), scope=treatment)) is D


def test_roles_are_recipients_by_logical_reference() -> None:
    role = {
        "actor": [
            {
                "role": {"coding": [{"system": PARTICIPATION, "code": "PRCP"}]},
                "reference": {"identifier": {"system": RECIPIENT_ROLE, "value": "ehr-system"}},
            }
        ]
    }
    assert verdict(consent(permit(**role))) is P
    assert verdict(consent(permit(**role)), asker=replace(CLINIC, names=frozenset({"*"}))) is S


@pytest.mark.parametrize(
    ("name", "permitted", "denied"),
    [
        ("ETH", "ETH SUD ETHUD OPIOIDUD", "ETH SUD ETHUD OPIOIDUD SPI SUDCN"),
        ("SUD", "ETH SUD ETHUD OPIOIDUD", "ETH SUD ETHUD OPIOIDUD SPI SUDCN"),
        ("ETHUD", "ETHUD", "ETHUD ETH SUD SPI"),
        ("PSY", "PSY MH BH EMOTDIS", "PSY MH BH EMOTDIS SPI PSYTHPN"),
        ("MH", "PSY MH BH EMOTDIS", "PSY MH BH EMOTDIS SPI PSYTHPN"),
        ("BH", "PSY MH BH EMOTDIS COGN DVD", "PSY MH BH EMOTDIS COGN DVD SPI PSYTHPN"),
        ("COGN", "COGN", "COGN BH SPI"),
        (
            "SPI",
            "ETH SUD ETHUD OPIOIDUD PSY MH BH EMOTDIS COGN DVD SPI",
            "ETH SUD ETHUD OPIOIDUD PSY MH BH EMOTDIS COGN DVD SPI PSYTHPN SUDCN",
        ),
        ("PSYTHPN", "PSYTHPN", "PSYTHPN"),
        ("SUDCN", "SUDCN", "SUDCN"),
        ("HIV", "HIV", "HIV"),
        ("OTHER", "", "OTHER"),
    ],
)
def test_each_label_covers_what_the_closure_says(name: str, permitted: str, denied: str) -> None:
    def bits(codes: str) -> Family:
        return Family(sum(Family[code] for code in codes.split()))

    assert permits(Family[name]) == bits(permitted)
    assert denies(Family[name]) == bits(denied)


def test_a_date_is_a_whole_day_of_the_program_s_zone() -> None:
    zone = ZoneInfo("America/New_York")
    short = span("2026-03-08", zone)  # clocks go forward: 23 hours
    assert short
    assert short[1] - short[0] == 23 * 3_600_000_000
    assert short[0] == span("2026-03-08T05:00:00Z", UTC)[0]  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    ["", "2026-13", "2026-02-30", "2026-1-1", "0000", "2026-01-01T00:00:00", "today", 7,
     None, "2026-01-01T25:00:00Z", "\N{FULLWIDTH DIGIT TWO}026"],
)  # fmt: skip
def test_a_date_that_cannot_be_read_is_none(text: object) -> None:
    assert span(text, UTC) is None


def test_open_and_partial_periods() -> None:
    year, december = span("2026", UTC), span("2026-12", UTC)
    assert year
    assert december
    assert year[1] == december[1] == span("2027", UTC)[0]  # type: ignore[index]
    assert period({"start": "2026"}, UTC) == (year[0], OPEN_END)
    assert period({"end": "2026"}, UTC) == (OPEN_START, year[1])
    for unread in (None, {}, {"start": 1}, {"end": "x"}, {"start": "2027", "end": "2026"},
                   {"start": "2026", "modifierExtension": []}):  # fmt: skip
        assert period(unread, UTC) is None
    for forever in ("9999", "9999-12", "9999-12-31"):
        assert (span(forever, UTC) or (0, 0))[1] > year[1]
    assert span("2026-01-01T00:00:00.5Z", UTC) == (year[0] + 500_000, year[0] + 500_001)
