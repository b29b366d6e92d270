"""Whose record a resource is, and what it points at."""

import pytest
from valid_resources import ABOUT, PATIENT, VALID, valid

from service.records.references import patient_of, references, target


@pytest.mark.parametrize("kind", sorted(set(VALID) - {"Provenance", "Organization"}))
def test_each_type_names_its_participant(kind: str) -> None:
    assert patient_of(valid(kind)) == PATIENT


def test_what_says_nothing_of_a_participant_has_none() -> None:
    assert patient_of(valid("Organization")) is None
    assert patient_of(valid("Provenance")) is None
    assert patient_of(valid("Provenance") | {"target": [ABOUT]}) == PATIENT
    assert patient_of(valid("Encounter") | {"subject": {"reference": "Group/g"}}) is None
    assert patient_of(valid("Encounter") | {"subject": {"display": "a"}}) is None
    assert patient_of({"resourceType": "Patient"}) is None
    assert patient_of({"resourceType": "Binary", "contentType": "a/b"}) is None
    assert (
        patient_of(
            {"resourceType": "Binary", "securityContext": {"reference": "DocumentReference/d"}}
        )
        is None
    )


def test_a_patient_of_another_server_is_not_ours() -> None:
    elsewhere = {"reference": f"https://elsewhere.example/fhir/Patient/{PATIENT}"}
    assert patient_of(valid("Encounter") | {"subject": elsewhere}) is None


def test_a_versioned_reference_names_the_same_participant() -> None:
    versioned = {"reference": f"Patient/{PATIENT}/_history/3"}
    assert patient_of(valid("Encounter") | {"subject": versioned}) == PATIENT


def test_relative_references_are_listed_with_their_paths() -> None:
    resource = valid("Encounter")
    resource["contained"] = [{"resourceType": "Device", "id": "a", "patient": ABOUT}]
    resource["basedOn"] = [
        {"reference": "ServiceRequest/s"},
        {"reference": "https://elsewhere.example/ServiceRequest/s"},
        {"reference": "urn:uuid:0b9c0d3e-6f5a-4c1b-9d2e-000000000001"},
        {"reference": "ServiceRequest?code=a"},
        {"reference": "#a"},
    ]
    assert {(path, type_) for path, type_, _ in references(resource)} == {
        ("Encounter.subject", "Patient"),
        ("Encounter.participant[0].individual", "Practitioner"),
        ("Encounter.contained[0].patient", "Patient"),
        ("Encounter.basedOn[0]", "ServiceRequest"),
    }


@pytest.mark.parametrize(
    "text", ["1", "patient/1", "Patient/", "Patient/a_b", f"Patient/{'a' * 65}", "Patient/1/2"]
)
def test_what_is_no_literal_reference_names_nothing(text: str) -> None:
    assert target(text) is None
