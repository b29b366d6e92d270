"""A FHIR client that we did not write reads, searches, pages and writes: fhirpy, unmodified."""

import pytest
from house import Service
from participants import arrive, log

from service.cli.demo_data import PROGRAM
from service.cli.people import fresh
from service.vocabulary import Relation

fhirpy = pytest.importorskip("fhirpy", reason="fhirpy is not installed")


def test_an_unmodified_client_finds_its_way(service: Service) -> None:
    who = arrive(service, name="Foreign", consented=True)
    logged = {log(service.signed_in("dana"), who).encounter for _ in range(3)}
    url = f"{service.settings.base_url}/fhir"
    ehr = service.authorized()
    client = fhirpy.SyncFHIRClient(url, authorization=f"Bearer {ehr.token}")
    encounters = client.resources("Encounter").search(patient=who.id).limit(1)
    assert {each["id"] for each in encounters.fetch_all()} == logged
    patient = client.reference("Patient", who.id).to_resource()
    assert patient["name"][0]["family"] == "Foreign"
    with pytest.raises(fhirpy.base.exceptions.ResourceNotFound):
        client.reference("Patient", fresh()).to_resource()


def test_an_unmodified_client_writes_what_it_reads_back(service: Service) -> None:
    who = arrive(service, name="Written")
    own = service.system(PROGRAM, relation=Relation.INSIDE)
    url = f"{service.settings.base_url}/fhir"
    client = fhirpy.SyncFHIRClient(url, authorization=f"Bearer {own.token}")
    goal = client.resource(
        "Goal", lifecycleStatus="active", description={"text": "To rest"},
        subject={"reference": f"Patient/{who.id}"},
    )  # fmt: skip
    goal.save()
    goal["lifecycleStatus"] = "completed"
    goal.save()
    assert goal["meta"]["versionId"] == "2"
    found = client.resources("Goal").search(patient=who.id, lifecycle_status="completed").first()
    assert found["id"] == goal["id"]
