"""Over FHIR nobody co-signs, alters, forges or annuls what somebody signed."""

import json

import httpx2
import pytest
from house import Service
from rich.console import Console

from service.cli import story
from service.cli.demo_data import DANA, MARIA, SAM
from service.cli.people import Person


@pytest.fixture(scope="module")
def note(service: Service) -> str:
    console = Console(quiet=True)
    service.signed_in("dana")
    _, note = story._session(console, service.people["dana"])
    return note


def put(who: Person, resource: dict[str, object], version: int) -> httpx2.Response:
    path = f"/fhir/{resource['resourceType']}/{resource['id']}"
    return who.put(path, resource, if_match=f'W/"{version}"')


@pytest.mark.parametrize(
    "change",
    [
        {"docStatus": "final", "authenticator": {"reference": f"Practitioner/{SAM}"}},
        {"status": "entered-in-error", "docStatus": "entered-in-error"},
        {"status": "superseded"},
        {"description": "Something else was said"},
        {"custodian": {"reference": "Organization/10000000-0000-4000-8000-000000000002"}},
    ],
)
@pytest.mark.parametrize("name", ["dana", "kim"])
def test_a_signed_note_is_not_changed(
    service: Service, note: str, name: str, change: dict[str, object]
) -> None:
    who = service.signed_in(name)
    stored = who.get(f"/fhir/DocumentReference/{note}").json()
    version = int(stored["meta"]["versionId"])
    answer = put(who, stored | change, version)
    assert answer.status_code in (403, 422), answer.text
    again = who.get(f"/fhir/DocumentReference/{note}").json()
    assert again["meta"]["versionId"] == str(version)


def test_a_co_sign_task_is_not_cancelled_by_its_author(service: Service, note: str) -> None:
    dana = service.signed_in("dana")
    found = dana.get("/fhir/Task", params={"focus": f"DocumentReference/{note}"}).json()
    task = found["entry"][0]["resource"]
    answer = put(dana, task | {"status": "cancelled"}, int(task["meta"]["versionId"]))
    assert answer.status_code == 422


def test_a_signed_encounter_is_not_changed(service: Service, note: str) -> None:
    dana = service.signed_in("dana")
    stored = dana.get(f"/fhir/DocumentReference/{note}").json()
    encounter = dana.get(f"/fhir/{stored['context']['encounter'][0]['reference']}").json()
    changed = encounter | {"status": "entered-in-error"}
    assert put(dana, changed, int(encounter["meta"]["versionId"])).status_code == 422


@pytest.mark.parametrize("element", ["author", "authenticator"])
def test_nobody_is_named_as_author_or_co_signer_by_another(
    service: Service, note: str, element: str
) -> None:
    kim = service.signed_in("kim")
    stored = kim.get(f"/fhir/DocumentReference/{note}").json()
    forged = {name: value for name, value in stored.items() if name not in ("id", "meta")}
    forged["author"] = [{"reference": f"Practitioner/{DANA}"}]
    if element == "authenticator":
        forged["author"] = [{"reference": f"Patient/{MARIA}"}]
        forged["authenticator"] = {"reference": f"Practitioner/{SAM}"}
    answer = kim.web.post(
        "/fhir/DocumentReference",
        content=json.dumps(forged),
        headers=kim._headers() | {"content-type": "application/fhir+json"},
    )
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == [f"DocumentReference.{element}"]


def test_an_outside_system_does_not_search_across_people_through_staff(service: Service) -> None:
    ehr = service.authorized()
    asked = {"_has:Encounter:practitioner:status": "finished"}
    assert ehr.get("/fhir/Practitioner", params=asked).status_code == 403


@pytest.mark.usefixtures("note")
def test_a_count_is_a_disclosure_and_accounted(service: Service) -> None:
    ehr, casey = service.authorized(), service.signed_in("casey")
    before = len(casey.get(f"/review/accounting/{MARIA}").json()["disclosures"])
    counted = ehr.get("/fhir/DocumentReference", params={"patient": MARIA, "_summary": "count"})
    assert counted.json()["total"] > 0
    after = casey.get(f"/review/accounting/{MARIA}").json()["disclosures"]
    assert len(after) == before + 1
