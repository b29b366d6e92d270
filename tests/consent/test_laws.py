"""The laws of the decision, on random consents, records and askers."""

from copy import deepcopy
from datetime import UTC
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.consent.compile import compile_rules
from service.consent.decision import Held, Verdict, decide
from service.consent.directive import CONSENT_ACTION, CONSENT_SCOPE, PARTICIPATION, parse
from service.consent.element import Asker, Element
from service.consent.evaluate import evaluate
from service.consent.recipients import RECIPIENT_CLASS
from service.errors import Invalid
from service.vocabulary import (
    ACT_CODE,
    ACT_REASON,
    CONFIDENTIALITY,
    OPEN_END,
    OPEN_START,
    Confidentiality,
    Family,
    Micros,
    Purpose,
)

DAY = 86_400_000_000
E1, E2, D1, P1, P2 = (f"00000000-0000-4000-8000-00000000000{n}" for n in range(1, 6))
TARGETS = [f"Encounter/{E1}", f"Encounter/{E2}", f"DocumentReference/{D1}",
           f"Practitioner/{P1}", f"Practitioner/{P2}"]  # fmt: skip
CODES = ["SUD", "ETHUD", "PSY", "MH", "BH", "SPI", "PSYTHPN", "SUDCN", "HIV", "XYZ"]
SOME_PURPOSES = ["TREAT", "COC", "HPAYMT", "CLMATTCH", "HOPERAT", "HLEGAL", "HRESCH", "BTG"]


def code(system: str, value: str) -> dict[str, str]:
    return {"system": system, "code": value}


def actor(role: str, **reference: object) -> dict[str, object]:
    return {"role": {"coding": [code(PARTICIPATION, role)]}, "reference": reference}


labels = st.one_of(
    st.sampled_from([code(CONFIDENTIALITY, level.name) for level in Confidentiality]),
    st.sampled_from([code(ACT_CODE, name) for name in CODES]),
    st.just(code("http://elsewhere.example", "X")),
    st.just(code(ACT_CODE, "42CFRPart2")),
)
purposes = st.one_of(
    st.sampled_from([code(ACT_REASON, name) for name in SOME_PURPOSES]),
    st.just(code("http://elsewhere.example", "X")),
)
actors = st.sampled_from(
    [
        actor("IRCP", reference="Organization/o1"),
        actor("PRCP", reference=f"Practitioner/{P1}"),
        actor("IRCP", reference="Group/g1"),
        actor("IRCP", reference="https://elsewhere.example/Organization/o1"),
        actor("IRCP", identifier={"system": RECIPIENT_CLASS, "value": "tpo"}),
        actor("IRCP", identifier={"system": RECIPIENT_CLASS, "value": "everybody"}),
        actor("CST", reference="Organization/o2"),
        actor("AUT", reference=f"Practitioner/{P2}"),
    ]
)
dates = st.sampled_from(["2025-01-01", "2025-03", "2026", "2026-06-01T12:00:00Z", "soon"])
periods = st.one_of(
    st.fixed_dictionaries({"start": dates, "end": dates}),
    st.fixed_dictionaries({"start": dates}),
    st.fixed_dictionaries({"end": dates}),
    st.just({}),
)
data = st.fixed_dictionaries(
    {
        "meaning": st.sampled_from(["instance", "related", "dependents", "authoredby", "other"]),
        "reference": st.sampled_from([{"reference": t} for t in [*TARGETS, "#contained"]]),
    }
)
types = st.one_of(
    st.sampled_from(
        [code("http://hl7.org/fhir/resource-types", x) for x in ("Encounter", "DocumentReference")]
    ),
    st.just(code("urn:ietf:bcp:13", "application/pdf")),
)
UNREAD: list[tuple[str, object]] = [
    ("code", [{"coding": [code("http://loinc.org", "34133-9")]}]),
    ("action", [{"coding": [code(CONSENT_ACTION, "correct")]}]),
    ("modifierExtension", [{"url": "https://elsewhere.example", "valueBoolean": True}]),
    ("_type", {"extension": []}),
]


@st.composite
def provisions(draw: st.DrawFn, level: int = 0) -> dict[str, Any]:
    """Sparse on purpose: most rules state one or two kinds, as people's do."""
    kinds: dict[str, Any] = {
        "period": periods,
        "actor": st.lists(actors, min_size=1, max_size=3),
        "purpose": st.lists(purposes, min_size=1, max_size=3),
        "securityLabel": st.lists(labels, min_size=1, max_size=3),
        "class": st.lists(types, min_size=1, max_size=2),
        "data": st.lists(data, min_size=1, max_size=2),
        "dataPeriod": periods,
    }
    size = draw(st.sampled_from([0, 0, 1, 1, 2, 3]))
    chosen = draw(st.lists(st.sampled_from(sorted(kinds)), max_size=size, unique=True))
    rule = {name: draw(kinds[name]) for name in chosen}
    base = ["permit"] * 6 + ["deny"] * 2 + [None]
    if kind := draw(st.sampled_from(base if level == 0 else ["permit", "permit", "deny", None])):
        rule["type"] = kind
    if draw(st.integers(0, 14)) == 0:
        name, value = draw(st.sampled_from(UNREAD))
        rule[name] = value
    if draw(st.integers(0, 8)) < (5, 1, 0)[level]:
        rule["provision"] = draw(st.lists(provisions(level + 1), max_size=2 - level))
    return rule


@st.composite
def consents(draw: st.DrawFn) -> dict[str, Any]:
    consent: dict[str, Any] = {
        "status": draw(st.sampled_from([*["active"] * 9, "inactive"])),
        "patient": {"reference": "Patient/x"},
        "scope": {"coding": [code(CONSENT_SCOPE, "patient-privacy")]},
        "provision": draw(provisions()),
    }
    if draw(st.integers(0, 9)) == 0:
        consent["scope"] = {"coding": [code(CONSENT_SCOPE, "treatment")]}
    base = draw(st.sampled_from([None, None, None, "OPTIN", "OPTOUT"]))
    if base:
        consent["policyRule"] = {"coding": [code(ACT_CODE, base)]}
    return consent


families = st.lists(st.sampled_from([*Family][:12]), max_size=2).map(
    lambda bits: Family(sum(set(bits)))
)
moments = st.integers(0, 900).map(lambda n: Micros(1_735_689_600_000_000 + n * DAY))  # from 2025


@st.composite
def elements(draw: st.DrawFn) -> Element:
    lo = draw(st.one_of(moments, st.just(OPEN_START)))
    long = draw(st.sampled_from([1, DAY, 300 * DAY]))
    kind, name = draw(st.sampled_from([*TARGETS[:3], "Patient/x"])).split("/")
    others = st.sets(st.sampled_from(TARGETS), max_size=2).map(frozenset)
    return Element(
        type=kind,
        id=name,
        conf=draw(st.sampled_from([*Confidentiality, Confidentiality.N, Confidentiality.N])),
        families=draw(st.one_of(st.just(Family(0)), families)),
        lo=lo,
        hi=OPEN_END if lo == OPEN_START else Micros(lo + long),
        author=draw(st.sampled_from([None, f"Practitioner/{P1}", f"Practitioner/{P2}"])),
        authors=draw(others),
        refers=draw(others),
        referred=draw(others),
    )


askers = st.builds(
    Asker,
    names=st.sets(
        st.sampled_from(
            ["Organization/o1", f"Practitioner/{P1}", "Group/g1", "class:health-plan", "role:ehr"]
        )
    ).map(lambda names: frozenset({"*", *names})),
    purpose=st.sampled_from([*SOME_PURPOSES, "TREAT", "COC", "COC"]),
    at=moments,
)
received = st.sampled_from([OPEN_START, OPEN_START, Micros(1_767_225_600_000_000)])  # 2026
files = st.lists(st.tuples(consents(), received), max_size=3)


def decided(file: list[tuple[dict[str, Any], Micros]], element: Element, asker: Asker) -> Verdict:
    return decide([Held(parse(c, UTC), at) for c, at in file], element, asker)


def opens(verdict: Verdict) -> bool:
    return verdict is Verdict.PERMIT


@settings(max_examples=250)
@given(files, elements(), askers)
def test_compiled_rows_and_the_slow_evaluator_agree(
    file: list[tuple[dict[str, Any], Micros]], element: Element, asker: Asker
) -> None:
    rows, kept = [], []
    for consent, at in file:
        try:
            rows.append(compile_rules(consent, received=at, zone=UTC, part2=False))
        except Invalid:
            continue
        kept.append((consent, at))
    assert evaluate(rows, element, asker) is decided(kept, element, asker)


@settings(max_examples=80)
@given(st.permutations(range(3)), st.lists(st.tuples(consents(), received), min_size=3, max_size=3),
       elements(), askers, st.randoms())  # fmt: skip
def test_order_never_matters(
    order: list[int],
    file: list[tuple[dict[str, Any], Micros]],
    element: Element,
    asker: Asker,
    random: Any,
) -> None:
    shuffled = deepcopy([file[index] for index in order])
    for consent, _ in shuffled:
        shuffle(consent["provision"], random)
    assert decided(shuffled, element, asker) is decided(file, element, asker)


def shuffle(rule: dict[str, Any], random: Any) -> None:
    for value in rule.values():
        if isinstance(value, list):
            random.shuffle(value)
    for child in rule.get("provision", []):
        shuffle(child, random)


@settings(max_examples=80)
@given(files, elements(), askers, families, st.sampled_from(Confidentiality))
def test_adding_a_label_never_widens(
    file: list[tuple[dict[str, Any], Micros]],
    element: Element,
    asker: Asker,
    more: Family,
    level: Confidentiality,
) -> None:
    labelled = Element(
        **{name: getattr(element, name) for name in Element.__slots__}
        | {"families": element.families | more, "conf": max(element.conf, level)}
    )
    if opens(decided(file, labelled, asker)):
        assert opens(decided(file, element, asker))


@settings(max_examples=80)
@given(files, st.tuples(consents(), received), elements(), askers)
def test_adding_a_consent_that_only_denies_never_widens(
    file: list[tuple[dict[str, Any], Micros]],
    another: tuple[dict[str, Any], Micros],
    element: Element,
    asker: Asker,
) -> None:
    consent, at = deepcopy(another)
    consent["provision"] = without_permits(consent["provision"])
    if opens(decided([*file, (consent, at)], element, asker)):
        assert opens(decided(file, element, asker))


def without_permits(rule: dict[str, Any]) -> dict[str, Any]:
    rule["type"] = "deny"
    rule["provision"] = [without_permits(child) for child in rule.get("provision", [])]
    return rule


@settings(max_examples=80)
@given(files, provisions(1), st.integers(0, 2), elements(), askers)
def test_adding_a_nested_deny_never_widens(
    file: list[tuple[dict[str, Any], Micros]],
    rule: dict[str, Any],
    where: int,
    element: Element,
    asker: Asker,
) -> None:
    stricter = deepcopy(file)
    if where < len(stricter):
        root = stricter[where][0]["provision"]
        root["provision"] = [*root.get("provision", []), without_permits(rule)]
    if opens(decided(stricter, element, asker)):
        assert opens(decided(file, element, asker))


@settings(max_examples=80)
@given(files, st.integers(0, 2), elements(), askers)
def test_revoking_a_consent_that_denies_nothing_never_widens(
    file: list[tuple[dict[str, Any], Micros]], where: int, element: Element, asker: Asker
) -> None:
    """Withdrawing a denial may widen: that is what the person asked for."""
    revoked = deepcopy(file)
    if where < len(revoked):
        consent = revoked[where][0]
        before = decided([(consent, OPEN_START)], element, asker)
        consent["status"] = "inactive"
        if before is not Verdict.DENY and opens(decided(revoked, element, asker)):
            assert opens(decided(file, element, asker))


@settings(max_examples=80)
@given(files, st.integers(0, 5), st.sampled_from(UNREAD), elements(), askers)
def test_an_element_we_do_not_evaluate_never_widens(
    file: list[tuple[dict[str, Any], Micros]],
    where: int,
    unread: tuple[str, object],
    element: Element,
    asker: Asker,
) -> None:
    changed = deepcopy(file)
    if where // 2 < len(changed):
        rule = changed[where // 2][0]["provision"]
        children = rule.get("provision", [])
        target = children[0] if where % 2 and children else rule
        target.setdefault(*unread)
    if opens(decided(changed, element, asker)):
        assert opens(decided(file, element, asker))


@settings(max_examples=80)
@given(files, st.integers(0, 2), st.sampled_from(["purpose", "securityLabel", "class"]),
       elements(), askers)  # fmt: skip
def test_a_code_we_do_not_evaluate_never_widens(
    file: list[tuple[dict[str, Any], Micros]],
    where: int,
    name: str,
    element: Element,
    asker: Asker,
) -> None:
    changed = deepcopy(file)
    if where < len(changed):
        rule = changed[where][0]["provision"]
        rule[name] = [*rule.get(name, []), code("http://elsewhere.example", "Y")]
    if opens(decided(changed, element, asker)):
        assert opens(decided(file, element, asker))


@settings(max_examples=80)
@given(files, elements(), askers)
def test_only_a_consent_that_names_btg_permits_it(
    file: list[tuple[dict[str, Any], Micros]], element: Element, asker: Asker
) -> None:
    broken = Asker(asker.names, Purpose.BTG, asker.at)
    if opens(decided(file, element, broken)):
        assert "BTG" in repr(file)


def test_treatment_payment_and_operations_never_yield_btg() -> None:
    consent = {
        "status": "active",
        "patient": {"reference": "Patient/x"},
        "scope": {"coding": [code(CONSENT_SCOPE, "patient-privacy")]},
        "provision": {
            "type": "permit",
            "purpose": [code(ACT_REASON, x) for x in ("TREAT", "ETREAT", "HPAYMT", "HOPERAT")],
        },
    }
    rules = compile_rules(consent, received=OPEN_START, zone=UTC, part2=False)
    assert {rule.purpose for rule in rules} & {"BTG", "*", "HLEGAL"} == set()


@settings(max_examples=80)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    ["status", "patient", "reference", "provision", "type", "actor", "role",
                     "coding", "system", "code", "period", "start", "data", "securityLabel"]
                ),
                inner,
                max_size=4,
            ),
        ),
        max_leaves=20,
    ),
    elements(),
    askers,
)  # fmt: skip
def test_reading_never_raises_and_nonsense_never_permits(
    nonsense: object, element: Element, asker: Asker
) -> None:
    consent = {
        "status": "active",
        "patient": {"reference": "Patient/x"},
        "scope": {"coding": [code(CONSENT_SCOPE, "patient-privacy")]},
        "provision": nonsense,
    }
    assert not opens(decided([(consent, OPEN_START)], element, asker))
    parse({"provision": nonsense, "scope": nonsense, "policyRule": nonsense, "patient": nonsense},
          UTC)  # fmt: skip
