"""What a search may ask, and that anything else is refused rather than dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from searching import BASE, NOW, ZONE, asked

from service.errors import Malformed, NotAllowed
from service.records.canonicals import definition
from service.records.conditions import Condition, Reading, Test
from service.records.parameters import MAIN_DATE, PARAMETERS, Kind
from service.records.query import Chained, Reversed, Sort, parse
from service.records.values import Reference, Token
from service.vocabulary import STORED_TYPES

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.mark.parametrize(
    "pair",
    [
        ("nickname", "x"), ("status:above", "x"), ("status:text", "x"), ("date:exact", "2024"),
        ("patient:Practitioner", ID), ("patient:not", ID), ("type:in", "x"), ("_text", "x"),
        ("_content", "x"), ("_filter", "x"), ("_query", "x"), ("_list", "x"), ("_contained", "x"),
        ("_elements", "id"), ("status.x", "y"), ("participant.identifier", "1"),
        ("_has:Encounter:patient", "1"), ("_has:Patient:link:active", "true"),
        ("patient.link.organization.name", "x"), ("_type", "Encounter"),
    ],
)  # fmt: skip
def test_what_we_do_not_search_by_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(Malformed) as refused:
        asked("Encounter", pair)
    assert refused.value.issues[0].code == "not-supported"
    assert pair[1] not in str(refused.value) or len(pair[1]) < 5


@pytest.mark.parametrize(
    "pair",
    [
        ("date", ""), ("date", "soon"), ("date", "xx2024"), ("status", ""), ("status", "a,,b"),
        ("patient", ""), ("patient", "#1"), ("type", "a\0"), ("type:missing", "yes"),
        ("_count", "-1"), ("_count", "many"), ("_count", ""), ("_sort", "status"),
        ("_sort", "date,_id"), ("_summary", "text"), ("_total", "some"),
        ("_include", "*"), ("_include", "Encounter:*"), ("_include", "Patient:link"),
        ("_include:iterate", "Encounter:patient"), ("_revinclude", "Provenance:recorded"),
        ("_revinclude", "CarePlan:goal"), ("_security", "urn:system|"),
        ("identifier", ",".join(["a"] * 101)),
    ],
)  # fmt: skip
def test_values_that_make_no_sense_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(Malformed):
        asked("Encounter", pair)


def test_lenient_handling_ignores_and_reports_what_is_unknown_and_only_that() -> None:
    query = asked("Encounter", ("nickname", "x"), ("status", "finished"), lenient=True)
    assert query.ignored == ("nickname",)
    assert query.asked == (("status", "finished"),)
    assert len(query.filters) == 1
    with pytest.raises(Malformed):
        asked("Encounter", ("date", "soon"), lenient=True)


def test_binary_and_unknown_types_have_no_search() -> None:
    for type_ in ("Binary", "Medication", "AuditEvent"):
        with pytest.raises(NotAllowed):
            asked(type_)


def test_pages_are_bounded_and_count_nought_only_counts() -> None:
    assert asked("Encounter").count == 50
    assert asked("Encounter", ("_count", "5000")).count == 1000
    assert asked("Encounter", ("_count", "99999999999999999999")).count == 1000
    assert asked("Encounter", ("_count", "0")).count_only


def test_sort_names_the_main_date_as_the_type_does() -> None:
    query = asked("Task", ("_sort", "-authored-on"))
    assert (query.sort, query.descending) == (Sort.MAIN, True)
    query = asked("Task", ("_sort", "_lastUpdated"))
    assert (query.sort, query.descending) == (Sort.UPDATED, False)


def test_a_comma_is_or_and_a_repeat_is_and() -> None:
    query = asked("Encounter", ("type", r"s|A,b\,c"), ("type", "|d"))
    first, second = query.filters
    assert isinstance(first, Condition)
    assert first.values == (Token("s", "a"), Token(None, "b,c"))
    assert isinstance(second, Condition)
    assert second.values == (Token("", "d"),)


def test_identifiers_keep_their_case() -> None:
    (only,) = asked("Patient", ("identifier", "mrn|Ab")).filters
    assert isinstance(only, Condition)
    assert only.values == (Token("mrn", "Ab"),)


@pytest.mark.parametrize("text", [ID, f"Patient/{ID}", f"{BASE}/Patient/{ID}"])
def test_a_reference_is_the_same_in_each_form(text: str) -> None:
    for name in ("patient", "subject", "subject:Patient"):
        (only,) = asked("Encounter", (name, text)).filters
        assert isinstance(only, Condition)
        assert only.values == (Reference("Patient", ID),)


def test_chains_name_where_they_lead() -> None:
    (chain,) = asked("PractitionerRole", ("practitioner.name", "ann")).filters
    assert isinstance(chain, Chained)
    assert chain.target == "Practitioner"
    (chain,) = asked("Encounter", ("patient._has:CareTeam:patient:status", "active")).filters
    assert isinstance(chain, Chained)
    assert isinstance(chain.inner, Reversed)


def test_the_whole_system_of_a_code_is_its_presence() -> None:
    system = "http://hl7.org/fhir/encounter-status|"
    (only,) = asked("Encounter", ("status", system)).filters
    assert isinstance(only, Condition)
    assert only.test is Test.PRESENT


@given(
    st.sampled_from(sorted(STORED_TYPES)),
    st.lists(st.tuples(st.sampled_from(
        ["_id", "_count", "_sort", "_include", "_revinclude", "_has:Encounter:patient:date", "date",
         "status", "patient", "patient.name", "identifier", "_lastUpdated", "subject:Patient.x"]
    ) | st.text(max_size=12), st.text(max_size=20)), max_size=4),
)  # fmt: skip
def test_no_input_does_worse_than_being_refused(type_: str, pairs: list[tuple[str, str]]) -> None:
    said = ""
    try:
        parse(type_, pairs, Reading(ZONE, NOW, BASE))
    except (Malformed, NotAllowed) as refused:
        said = str(refused)
    assert not any(len(value) > 4 and value in said for _, value in pairs)


def test_the_table_is_whole() -> None:
    assert set(PARAMETERS) == STORED_TYPES
    for type_, parameters in PARAMETERS.items():
        for name, parameter in parameters.items():
            assert len(name) <= 32 - (11 if parameter.kind is Kind.REFERENCE else 0)
            assert definition(type_, parameter).startswith("http://hl7.org/fhir/")
            assert not parameter.rows or parameter.rows in parameters
    for type_, name in MAIN_DATE.items():
        assert PARAMETERS[type_][name].kind is Kind.DATE


def test_shared_parameters_are_named_as_hl7_names_them() -> None:
    hl7 = "http://hl7.org/fhir/SearchParameter/"
    assert definition("Encounter", PARAMETERS["Encounter"]["date"]) == hl7 + "clinical-date"
    assert definition("Encounter", PARAMETERS["Encounter"]["status"]) == hl7 + "Encounter-status"
    assert definition("Patient", PARAMETERS["Patient"]["given"]) == hl7 + "individual-given"
    assert definition("Task", PARAMETERS["Task"]["_id"]) == hl7 + "Resource-id"
