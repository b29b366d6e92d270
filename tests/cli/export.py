"""Made-up exports: what an EHR's bulk export looks like, in small."""

import gzip
import json
from pathlib import Path
from typing import Any
from uuid import UUID

Json = dict[str, Any]


def uuid(number: int) -> str:
    return str(UUID(int=0x70000000_0000_4000_8000_000000000000 + number))


def patient(number: int) -> Json:
    return {
        "resourceType": "Patient",
        "id": uuid(number),
        "identifier": [{"system": "urn:example:mrn", "value": f"M{number}"}],
        "name": [{"family": "Example"}],
        "gender": "unknown",
    }


def practitioner(number: int) -> Json:
    return {
        "resourceType": "Practitioner",
        "id": uuid(number),
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": f"99{number}"}],
        "name": [{"family": "Example"}],
    }


def encounter(number: int, subject: str, **more: Any) -> Json:
    return {
        "resourceType": "Encounter",
        "id": uuid(number),
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": subject},
        "period": {"start": "2026-03-01T10:00:00-05:00", "end": "2026-03-01T10:30:00-05:00"},
    } | more


def condition(number: int, subject: str, **more: Any) -> Json:
    return {
        "resourceType": "Condition",
        "id": uuid(number),
        "clinicalStatus": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active",
        }]},
        "code": {"text": "Example"},
        "subject": {"reference": subject},
    } | more  # fmt: skip


def immunization(number: int, subject: str) -> Json:
    return {
        "resourceType": "Immunization",
        "id": uuid(number),
        "status": "completed",
        "vaccineCode": {"text": "Example"},
        "patient": {"reference": subject},
        "occurrenceString": "2026",
    }


def ndjson(path: Path, *resources: Json | str) -> Path:
    """One line each; a str is written as it is. `.gz` in the name compresses."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in resources)
    data = body.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def bundle(path: Path, *entries: tuple[str, Json]) -> Path:
    """A transaction of (fullUrl, resource)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": url,
                "resource": resource,
                "request": {"method": "POST", "url": resource["resourceType"]},
            }
            for url, resource in entries
        ],
    }
    path.write_text(json.dumps(body))
    return path
