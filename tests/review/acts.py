"""What happens in the house, so that there is something to review."""

import csv
import io
from typing import Any

import httpx2

from service.cli.demo_data import MARIA
from tests.demo_house import Town

Json = dict[str, Any]


def pull(town: Town, name: str = "clinic", patient: str = MARIA) -> httpx2.Response:
    """An outside clinician searches Encounters under the participant's consent."""
    return town.get(name, "/fhir/Encounter", params={"patient": patient})


def declare(town: Town, name: str, patient: str, **changed: Any) -> httpx2.Response:
    """Break the glass."""
    said: Json = {
        "reason": "Unconscious, suspected overdose", "facility": "Lakeside emergency department",
        "consentCannotBeObtained": True,
    } | changed  # fmt: skip
    parameters = [
        {"name": each, "valueBoolean" if isinstance(value, bool) else "valueString": value}
        for each, value in said.items()
    ]
    headers = {
        "authorization": f"Bearer {town[name].token}", "content-type": "application/fhir+json",
    }  # fmt: skip
    answer: httpx2.Response = town.web.post(
        f"/fhir/Patient/{patient}/$break-glass",
        json={"resourceType": "Parameters", "parameter": parameters},
        headers=headers,
    )
    return answer


def entries(town: Town, name: str = "casey", **parameters: str) -> list[Json]:
    answer = town[name].get("/review/entries", params={"limit": "1000"} | parameters)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["entries"]
    return found


def accounting(town: Town, patient: str = MARIA, name: str = "casey", **asked: str) -> list[Json]:
    answer = town[name].get(f"/review/accounting/{patient}", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["disclosures"]
    return found


def accounting_csv(town: Town, patient: str = MARIA) -> list[dict[str, str]]:
    answer = town["casey"].get(f"/review/accounting/{patient}", params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.text)))
