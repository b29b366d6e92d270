"""Resources that are valid as they stand; tests copy one and break it in one way."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

PATIENT = "0b9c0d3e-6f5a-4c1b-9d2e-000000000001"
OTHER = "0b9c0d3e-6f5a-4c1b-9d2e-000000000002"
STAFF = "0b9c0d3e-6f5a-4c1b-9d2e-00000000000a"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"

ABOUT = {"reference": f"Patient/{PATIENT}"}
BY = {"reference": f"Practitioner/{STAFF}"}
MASKED = {"extension": [{"url": "https://peernotes.example/x", "valueCode": "masked"}]}
TEXT = {
    "status": "generated",
    "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Met on site.</p></div>',
}

VALID: dict[str, dict[str, Any]] = {
    "Encounter": {
        "resourceType": "Encounter",
        "text": TEXT,
        "status": "finished",
        "class": {
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
            "code": "AMB",
        },
        "type": [
            {
                "coding": [{"system": "http://snomed.info/sct", "code": "308335008"}],
                "text": "Peer support session",
            }
        ],
        "subject": ABOUT,
        "participant": [
            {
                "individual": BY,
                "period": {"start": "2026-03-12T14:00:00Z", "end": "2026-03-12T14:31:00Z"},
            }
        ],
        "period": {"start": "2026-03-12T14:00:00Z", "end": "2026-03-12T14:31:00Z"},
        "length": {
            "value": Decimal("31.0"),
            "unit": "min",
            "system": "http://unitsofmeasure.org",
            "code": "min",
        },
    },
    "Observation": {
        "resourceType": "Observation",
        "contained": [{"resourceType": "Device", "id": "tablet"}],
        "extension": [{"url": "https://peernotes.example/x", "valueDecimal": Decimal("1.50")}],
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "95541-9"}]},
        "subject": ABOUT,
        "effectiveDateTime": "2026-03-12",
        "valueQuantity": {"value": Decimal("47.0"), "unit": "points"},
        "device": {"reference": "#tablet"},
        "component": [{"code": {"text": "one"}, "valueInteger": 4}],
    },
    "Patient": {
        "resourceType": "Patient",
        "id": PATIENT,
        "name": [{"family": "Doe", "given": ["Ann", None], "_given": [None, MASKED]}],
        "birthDate": "1980-02-29",
        "_birthDate": {
            "extension": [{"url": "https://peernotes.example/x", "valueTime": "10:00:00"}]
        },
        "telecom": [{"system": "phone", "value": "555"}],
        "contact": [{"name": {"text": "Joe"}}],
        "link": [{"other": {"reference": f"Patient/{OTHER}"}, "type": "seealso"}],
    },
    "Condition": {
        "resourceType": "Condition",
        "clinicalStatus": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
                    "code": "resolved",
                }
            ]
        },
        "code": {"text": "Housing"},
        "subject": ABOUT,
        "onsetDateTime": "2025-01",
        "abatementDateTime": "2025-02",
    },
    "DocumentReference": {
        "resourceType": "DocumentReference",
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [{"system": "http://loinc.org", "code": "11506-3"}]},
        "subject": ABOUT,
        "date": "2026-03-12T15:00:00.000Z",
        "author": [BY],
        "content": [{"attachment": {"contentType": "text/plain", "data": "aGVsbG8="}}],
    },
    "Consent": {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"text": "privacy"},
        "category": [{"text": "42 CFR 2.31"}],
        "patient": ABOUT,
        "policy": [{"uri": "https://peernotes.example/policy"}],
        "performer": [{"reference": f"Patient/{OTHER}"}],
        "provision": {
            "type": "permit",
            "actor": [{"role": {"text": "IRCP"}, "reference": {"reference": f"Patient/{OTHER}"}}],
        },
    },
    "Organization": {
        "resourceType": "Organization",
        "name": "Recovery House",
        "telecom": [{"system": "phone", "value": "555", "use": "work"}],
    },
    "Provenance": {
        "resourceType": "Provenance",
        "target": [{"reference": "Encounter/e/_history/2"}],
        "recorded": "2026-03-12T15:00:00Z",
        "agent": [{"who": BY}],
        "signature": [
            {
                "type": [{"code": "1.2.840.10065.1.12.1.1"}],
                "when": "2026-03-12T15:00:00Z",
                "who": BY,
            }
        ],
    },
    "Task": {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "for": ABOUT,
        "authoredOn": "2026-03-12",
        "lastModified": "2026-03-12",
        "input": [{"type": {"text": "t"}, "valuePeriod": {"start": "2026", "end": "2026-01"}}],
    },
    "Goal": {
        "resourceType": "Goal",
        "lifecycleStatus": "active",
        "description": {"text": "Find a flat"},
        "subject": ABOUT,
        "startDate": "2026-01-01",
        "target": [{"dueDate": "2026-06-01"}],
    },
    "Binary": {
        "resourceType": "Binary",
        "contentType": "text/plain",
        "data": "aGVsbG8=",
        "securityContext": ABOUT,
    },
    "QuestionnaireResponse": {
        "resourceType": "QuestionnaireResponse",
        "status": "completed",
        "questionnaire": "https://peernotes.example/Questionnaire/barc-10|1",
        "subject": ABOUT,
        "item": [{"linkId": "1", "answer": [{"valueDecimal": Decimal("4.0")}]}],
    },
}


def valid(kind: str) -> dict[str, Any]:
    """A fresh copy."""
    return deepcopy(VALID[kind])
