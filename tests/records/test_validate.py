"""Each trap of the FHIR reference, section 3, is refused with a path and without the value."""

import json
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from valid_resources import ABOUT, BY, OTHER, PATIENT, VALID, valid

from service.errors import Invalid, Malformed
from service.records.document import encode, parse
from service.records.validate import CAP, validate

ELSE = {"reference": f"Patient/{OTHER}"}
EXTENDED = [{"url": "https://peernotes.example/x", "valueReference": ELSE}]


@pytest.mark.parametrize("kind", sorted(VALID))
def test_the_examples_are_valid_and_left_alone(kind: str) -> None:
    resource = valid(kind)
    validate(resource)
    assert resource == VALID[kind]
    validate(parse(encode(resource)))


VECTORS = json.loads((Path(__file__).parent / "traps.json").read_text(), parse_float=Decimal)
TRAPS = VECTORS["refused"]
TAKEN = VECTORS["taken"]


def changed(case: dict[str, Any]) -> dict[str, Any]:
    """The valid resource of the case's type, broken as the case says."""
    resource = valid(case["type"]) | case.get("set", {})
    for name in case.get("drop", ()):
        del resource[name]
    return resource


@pytest.mark.parametrize("number", range(len(TRAPS)))
def test_a_known_trap_is_refused(number: int) -> None:
    case = TRAPS[number]
    with pytest.raises(Malformed) as refused:
        validate(changed(case))
    found = {(i.code, i.expression) for i in refused.value.issues}
    assert (case["code"], case["at"]) in found, case["trap"]


@pytest.mark.parametrize("number", range(len(TAKEN)))
def test_what_is_wrongly_refused_elsewhere_is_taken(number: int) -> None:
    validate(changed(TAKEN[number]))


def test_a_resource_of_no_known_type_is_refused() -> None:
    for resource in ({}, {"resourceType": "Immunization"}, {"resourceType": 5}, {"id": "a"}):
        with pytest.raises(Malformed):
            validate(resource)


def test_every_issue_is_reported_once_and_no_more_than_the_cap() -> None:
    resource = valid("Encounter")
    resource["status"] = "bogus"
    resource["period"] = {"start": "yesterday"}
    with pytest.raises(Malformed) as refused:
        validate(resource)
    assert len(refused.value.issues) == 2
    resource["type"] = [{"text": 5} for _ in range(200)]
    with pytest.raises(Malformed) as refused:
        validate(resource)
    assert len(refused.value.issues) == CAP


@pytest.mark.parametrize("number", range(len(TRAPS)))
def test_no_message_repeats_a_value(number: int) -> None:
    secret = "Zylphar"
    kind = TRAPS[number]["type"]
    marked = _marked(changed(TRAPS[number]), secret) | {"resourceType": kind}
    marked[secret] = {secret: [secret]}
    with pytest.raises(Malformed) as refused:
        validate(marked)
    told = [str(refused.value)]
    told += [f"{i.code}{i.diagnostics}{i.expression}" for i in refused.value.issues]
    assert not any(secret in words for words in told)
    assert refused.value.__context__ is None or secret not in str(refused.value.__context__)


def _marked(value: Any, secret: str) -> Any:
    match value:
        case dict():
            return {name: _marked(child, secret) for name, child in value.items()}
        case list():
            return [_marked(child, secret) for child in value]
        case str():
            return f"{value} {secret}"
        case _:
            return value


def test_a_resource_names_one_participant_throughout() -> None:
    for kind, place, change in (
        ("DocumentReference", "author[0]", {"author": [ELSE]}),
        ("Observation", "performer[0]", {"performer": [ELSE]}),
        ("Encounter", "extension[0].value", {"extension": EXTENDED}),
        ("Patient", "extension[0].value", {"extension": EXTENDED}),
    ):
        with pytest.raises(Invalid) as refused:
            validate(valid(kind) | change)
        named = {issue.expression for issue in refused.value.issues}
        assert named & {f"{kind}.{place}", f"{kind}.subject"}
        assert refused.value.status == 422


def test_a_record_of_the_house_names_no_participant() -> None:
    with pytest.raises(Invalid):
        validate(valid("Organization") | {"extension": EXTENDED})


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"total": 1}, "Bundle"),
        ({"entry": [{"fullUrl": "urn:a"}]}, "Bundle.entry[0]"),
        (
            {"entry": [{"resource": {"resourceType": "Flag"}, "search": {"mode": "match"}}]},
            "Bundle.entry[0]",
        ),
        ({"type": "batch"}, "Bundle.entry[0]"),
        ({"type": "batch-response"}, "Bundle.entry[0]"),
        ({"type": "document"}, "Bundle.identifier"),
        ({"type": "document"}, "Bundle.timestamp"),
        ({"type": "message"}, "Bundle"),
        ({"entry": [{"fullUrl": "urn:a", "resource": VALID["Goal"]}] * 2}, "Bundle"),
        (
            {"entry": [{"fullUrl": "https://a/Goal/1/_history/1", "resource": VALID["Goal"]}]},
            "Bundle.entry[0].fullUrl",
        ),
    ],
    ids=range(10),
)
def test_a_bundle_keeps_its_own_rules(change: dict[str, Any], where: str) -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": valid("Goal")}],
    }
    validate(bundle)
    with pytest.raises(Malformed) as refused:
        validate(bundle | change)
    assert ("invariant", where) in {(i.code, i.expression) for i in refused.value.issues}


@pytest.mark.parametrize(
    "change",
    [
        {"type": "group"},
        {"type": "display", "item": [{"linkId": "b", "type": "string"}]},
        {"type": "display", "required": True},
        {"type": "choice", "answerOption": [{"valueString": "a"}], "answerValueSet": "urn:a"},
        {"type": "text", "answerOption": [{"valueString": "a"}]},
        {"type": "display", "initial": [{"valueString": "a"}]},
        {"type": "date", "maxLength": 3},
        {"answerOption": [{"valueString": "a"}], "initial": [{"valueString": "a"}]},
        {"initial": [{"valueString": "a"}, {"valueString": "b"}]},
        {"item": [{"linkId": "a", "type": "string"}]},
        {"enableWhen": [{"question": "b", "operator": "exists", "answerString": "a"}]},
        {"enableWhen": [{"question": "b", "operator": "exists", "answerBoolean": True}] * 3},
    ],
    ids=range(12),
)
def test_a_questionnaire_keeps_its_own_rules(change: dict[str, Any]) -> None:
    item = {"linkId": "a", "type": "string"}
    form = {"resourceType": "Questionnaire", "status": "active", "item": [item]}
    validate(form)
    item.update(change)
    with pytest.raises(Malformed) as refused:
        validate(form)
    assert "invariant" in {issue.code for issue in refused.value.issues}


def test_bundle_entries_are_checked_where_they_stand() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": valid(kind), "request": {"method": "POST", "url": kind}}
            for kind in ("Encounter", "Observation", "Organization")
        ],
    }
    validate(bundle)
    broken = deepcopy(bundle)
    broken["entry"][0]["resource"].pop("status")
    broken["entry"][1]["resource"]["contained"][0]["status"] = "odd"
    with pytest.raises(Malformed) as refused:
        validate(broken)
    assert [i.expression for i in refused.value.issues] == [
        "Bundle.entry[1].resource.contained[0].status"
    ]


def test_entries_may_be_about_different_participants() -> None:
    other = valid("Encounter")
    other["subject"] = {"reference": f"Patient/{OTHER}"}
    entries = [{"resource": one} for one in (valid("Encounter"), other)]
    validate({"resourceType": "Bundle", "type": "collection", "entry": entries})


def test_parameters_are_walked_to_their_last_part() -> None:
    inner = {"name": "resource", "resource": valid("Encounter")}
    validate({"resourceType": "Parameters", "parameter": [{"name": "a", "part": [inner]}]})
    inner["resource"]["status"] = "bogus"
    with pytest.raises(Malformed) as refused:
        validate({"resourceType": "Parameters", "parameter": [{"name": "a", "part": [inner]}]})
    assert refused.value.issues[0].expression == "Parameters.parameter[0].part[0].resource.status"


def test_the_deepest_document_that_parses_also_validates() -> None:
    item: dict[str, Any] = {"linkId": "0"}
    for level in range(28):
        item = {"linkId": str(level), "item": [item]}
    resource = valid("QuestionnaireResponse") | {"item": [item]}
    validate(parse(encode(resource)))


def test_who_signs_may_be_another_than_whom_it_is_about() -> None:
    assert VALID["Consent"]["performer"] != [ABOUT] != [BY]
    assert PATIENT != OTHER
    validate(valid("Consent"))
