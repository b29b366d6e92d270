"""Published consents, decided: IHE's 900 rows, HL7's examples, and a table of clearances."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from service.consent.compile import compile_rules
from service.consent.dates import span
from service.consent.decision import Held, Verdict, decide
from service.consent.directive import CONSENT_SCOPE, coding, listed, parse, relative
from service.consent.element import Asker, Element
from service.consent.evaluate import evaluate
from service.consent.families import family
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
    Purpose,
)

PURPOSES = [*Purpose, "FooBar", "http://example.org/policies/purposeOfUse|FooBar"]


OTHER_IDS = re.compile(r'(?<=[a-z]/)(ex|syn)-[A-Za-z0-9-]+|(?<="id": ")(ex|syn)-[A-Za-z0-9-]+')


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def ours(value: Any) -> Any:
    """With UUIDs for the published ids, as every record of this house has."""
    text = OTHER_IDS.sub(lambda found: str(uuid5(NAMESPACE_URL, found[0])), json.dumps(value))
    return json.loads(text)


def element(resource: dict[str, Any]) -> Element:
    """The facts of a resource, by the rules of the labels room: unlabelled is R and everything."""
    conf, families = Confidentiality.R, Family(0)
    labelled = False
    for system, code in filter(None, map(coding, listed(resource["meta"].get("security")))):
        if system == CONFIDENTIALITY:
            conf, labelled = Confidentiality[code], True
        elif system == ACT_CODE:
            families, labelled = families | family(code), True
    dated = span(resource.get("effectiveDateTime"), UTC)
    lo, hi = dated or (OPEN_START, OPEN_END)
    performers = frozenset(filter(None, map(relative, resource.get("performer", []))))
    return Element(
        type=resource["resourceType"],
        id=resource["id"],
        conf=conf,
        families=families if labelled else EVERY_SENSITIVITY,
        lo=lo,
        hi=hi,
        author=next(iter(performers), None),
        authors=performers,
        refers=frozenset(
            filter(None, (relative(resource.get(name)) for name in ("subject", "encounter")))
        ),
    )


class Matrix:
    def __init__(self, folder: Path) -> None:
        self.table = load(folder / "decision_matrix.json")
        self.folder = folder / "resources"

    def resource(self, reference: str) -> dict[str, Any]:
        synthetic: dict[str, Any] = self.table["syntheticResources"]
        if reference in synthetic:
            return synthetic[reference]  # type: ignore[no-any-return]
        return load(self.folder / f"{reference.replace('/', '-')}.json")  # type: ignore[no-any-return]

    def asker(self, case: dict[str, Any]) -> Asker:
        who = case["requester"]
        groups = [g for g, members in self.table["groupMembership"].items() if who in members]
        at = span(case.get("evaluationTime", self.table["defaultEvaluationTime"]), UTC)
        assert at
        system, code = case["purposeOfUse"]["system"], case["purposeOfUse"]["code"]
        purpose = code if system == ACT_REASON else f"{system}|{code}"
        return Asker(frozenset({"*", who, *groups}), purpose, at[0])


@pytest.fixture(scope="module")
def matrix(data: Path) -> Matrix:
    return Matrix(data / "consent" / "pcf")


def face(verdict: Verdict) -> str:
    return "release" if verdict is Verdict.PERMIT else "withhold"


def test_all_900_published_rows_are_decided_as_expected(matrix: Matrix) -> None:
    rows = 0
    for case in matrix.table["cases"]:
        held = Held(parse(matrix.resource(case["consent"]), UTC), OPEN_START)
        asker = matrix.asker(case)
        for reference, expected in case["expected"].items():
            found = face(decide([held], element(matrix.resource(reference)), asker))
            assert found == expected, (case["id"], reference)
            rows += 1
    assert rows == 900


def test_compiled_rows_decide_the_published_rows_alike_or_are_refused(matrix: Matrix) -> None:
    refused = set()
    for case in matrix.table["cases"]:
        consent = matrix.resource(case["consent"])
        try:
            rules = compile_rules(ours(consent), received=OPEN_START, zone=UTC, part2=False)
        except Invalid:
            refused.add(consent["id"])
            continue
        for reference, expected in case["expected"].items():
            item = element(ours(matrix.resource(reference)))
            asker = matrix.asker(case)
            asker = replace(asker, names=frozenset(ours([*asker.names])))
            assert face(evaluate([rules], item, asker)) == expected, (case["id"], reference)
    assert refused == {"ex-consent-intermediate-purpose"}  # a purpose that nobody can claim


def core_examples(data: Path) -> Iterator[dict[str, Any]]:
    for path in sorted((data / "consent" / "fhir_r4_core").glob("consent-example*.json")):
        yield load(path)


def test_no_core_example_ever_raises_or_permits(data: Path, matrix: Matrix) -> None:
    elements = [element(matrix.resource(r)) for r in matrix.table["cases"][0]["expected"]]
    times = ["1970-01-01", "2015-01-15", "2016-06-23T17:10:00+10:00", "2022-07-01", "2040-01-01"]
    moments = [found[0] for found in (span(text, UTC) for text in times) if found]
    examples = list(core_examples(data))
    assert len(examples) == 12
    for consent in examples:
        actors = concept_references(consent)
        held = Held(parse(consent, UTC), Micros(0))
        for names in ({"*"}, {"*", *actors}, {"*", "Organization/other", "role:clinician"}):
            for purpose in PURPOSES:
                for at in moments:
                    asker = Asker(frozenset(names), purpose, at)
                    for item in elements:
                        assert decide([held], item, asker) is not Verdict.PERMIT, consent["id"]


def concept_references(consent: dict[str, Any]) -> set[str]:
    text = json.dumps(consent)
    parts = [part.split('"')[0] for part in text.split('"reference": "')[1:]]
    return {part for part in parts if "/" in part}


def test_an_untyped_core_example_is_refused_on_write(data: Path) -> None:
    typed = []
    for consent in core_examples(data):
        try:
            rules = compile_rules(consent, received=Micros(0), zone=UTC)
        except Invalid as refusal:
            paths = {issue.expression for issue in refusal.issues}
            assert "Consent.provision.type" in paths, consent["id"]
        else:
            typed.append(consent["id"])
            assert {rule.effect for rule in rules} == {"deny"}
    assert typed == ["consent-example-notOrg"]


def test_optin_without_a_type_still_denies_what_it_describes(data: Path, matrix: Matrix) -> None:
    consents = {consent["id"]: parse(consent, UTC) for consent in core_examples(data)}
    nurse = Asker(frozenset({"*", "Practitioner/f204"}), "TREAT", Micros(0))
    item = element(matrix.resource("Observation/ex-weight"))
    held = Held(consents["consent-example-notThem"], Micros(0))
    assert decide([held], item, nurse) is Verdict.DENY
    other = Asker(frozenset({"*", "Practitioner/f205"}), "TREAT", Micros(0))
    assert decide([held], item, other) is Verdict.SILENT


def test_a_clearance_must_cover_every_label(data: Path) -> None:
    for case in load(data / "consent" / "label_clearance.json")["cases"]:
        labels = [
            {"system": CONFIDENTIALITY if len(code) == 1 else ACT_CODE, "code": code}
            for code in case["resource"]
        ]
        item = element({"resourceType": "Observation", "id": "x", "meta": {"security": labels}})
        levels = [Confidentiality[code] for code in case["clearance"] if len(code) == 1]
        cleared = [
            {"system": CONFIDENTIALITY if len(code) == 1 else ACT_CODE, "code": code}
            for code in case["clearance"]
        ]
        consent = {
            "status": "active",
            "patient": {"reference": "Patient/x"},
            "scope": {"coding": [{"system": CONSENT_SCOPE, "code": "patient-privacy"}]},
            "provision": {"type": "permit", "securityLabel": cleared},
        }
        asker = Asker(frozenset({"*"}), "TREAT", Micros(0))
        verdict = decide([Held(parse(consent, UTC), Micros(0))], item, asker)
        seen = verdict is Verdict.PERMIT and bool(levels)  # no level stated opens nothing
        assert seen == (case["expected"] == "see"), case["id"]
