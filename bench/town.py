"""The fictional town that is measured: a program, a clinic, ten peers, their participants.

Ids are made from numbers, so that a second process knows them without reading them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from service.consent.form import OUR_FORM

Resource = dict[str, Any]

PEERS = 10
PROGRAM = "b0000000-0000-4000-8000-000000000001"
CLINIC = "b0000000-0000-4000-8000-000000000002"
FIRST_DAY = datetime(2026, 1, 5, 9, tzinfo=UTC)
SECURITY = [
    {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"},
    {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"},
]
IRCP = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


def practitioner(number: int) -> str:
    return f"b1000000-0000-4000-8000-{number:012}"


def participant(number: int) -> str:
    return f"b2000000-0000-4000-8000-{number:012}"


def encounter_id(number: int) -> str:
    return f"b3000000-0000-4000-8000-{number:012}"


def goal_id(number: int) -> str:
    return f"b4000000-0000-4000-8000-{number:012}"


def peer_of(number: int) -> int:
    """Which peer serves a participant."""
    return number % PEERS


def house() -> Iterator[Resource]:
    for id_, name in ((PROGRAM, "Riverbend Recovery"), (CLINIC, "Lakeside Clinic")):
        yield {"resourceType": "Organization", "id": id_, "active": True, "name": name}
    for number in range(PEERS):
        yield {
            "resourceType": "Practitioner",
            "id": practitioner(number),
            "active": True,
            "identifier": [{"system": "urn:peernotes:bench:staff", "value": str(number)}],
            "name": [{"family": f"Peer{number}", "given": ["Pat"]}],
        }


def person(number: int) -> list[Resource]:
    """A participant, with care team, goal and a consent for the clinic."""
    id_ = participant(number)
    subject = {"reference": f"Patient/{id_}"}
    worker = {"reference": f"Practitioner/{practitioner(peer_of(number))}"}
    return [
        {
            "resourceType": "Patient",
            "id": id_,
            "active": True,
            "identifier": [{"system": "urn:peernotes:bench:record", "value": f"B-{number}"}],
            "name": [{"use": "official", "family": f"Family{number}", "given": ["Given"]}],
            "gender": "unknown",
            "birthDate": "1985-04-12",
        },
        {
            "resourceType": "CareTeam",
            "id": f"b5000000-0000-4000-8000-{number:012}",
            "status": "active",
            "subject": subject,
            "period": {"start": "2026-01-01"},
            "participant": [
                {
                    "role": [{"text": "Peer specialist"}],
                    "member": worker,
                    "period": {"start": "2026-01-01"},
                }
            ],
        },
        {
            "resourceType": "Goal",
            "id": goal_id(number),
            "lifecycleStatus": "active",
            "description": {"text": "I want to see my sister every week"},
            "subject": subject,
        },
        _consent(number),
    ]


def _consent(number: int) -> Resource:
    """For the clinic, on the written form of 42 CFR 2.31."""
    subject = {"reference": f"Patient/{participant(number)}"}
    actor = {
        "role": {"coding": [{"system": IRCP, "code": "IRCP"}]},
        "reference": {"reference": f"Organization/{CLINIC}"},
    }
    return {
        "resourceType": "Consent",
        "id": f"b6000000-0000-4000-8000-{number:012}",
        "status": "active",
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope",
                              "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": subject,
        "dateTime": "2026-02-01T10:00:00-05:00",
        "performer": [subject],
        "organization": [{"reference": f"Organization/{PROGRAM}"}],
        "sourceAttachment": {"contentType": "application/pdf", "language": "en",
                             "title": "Signed consent form, 42 CFR 2.31",
                             "creation": "2026-02-01T10:00:00-05:00"},
        "policy": [{"uri": OUR_FORM}],
        "verification": [{"verified": True, "verifiedWith": subject,
                          "verificationDate": "2026-02-01T10:00:00-05:00"}],
        "provision": {
            "type": "permit",
            "period": {"start": "2026-02-01", "end": "2030-01-31"},
            "actor": [actor],
            "purpose": [{"system": ACT_REASON, "code": "TREAT"}],
        },
    }  # fmt: skip


def encounter(number: int, people: int, *, id_: str | None = None) -> Resource:
    """The encounter of that number, about 1.2 KB; every participant has as many as any other."""
    who = number % people
    start = FIRST_DAY + timedelta(hours=7 * (number // people), minutes=number % 50)
    period = {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
              "end": f"{start + timedelta(minutes=45):%Y-%m-%dT%H:%M:%SZ}"}  # fmt: skip
    terminology = "http://terminology.hl7.org/CodeSystem"
    found: Resource = {
        "resourceType": "Encounter",
        "id": id_ or encounter_id(number),
        "meta": {"security": SECURITY},
        "identifier": [{"system": "urn:peernotes:bench:visit", "value": id_ or str(number)}],
        "status": "finished",
        "class": {"system": f"{terminology}/v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "type": [{"coding": [{"system": "http://snomed.info/sct", "code": "185317003",
                              "display": "Telephone encounter"}]}],
        "serviceType": {"coding": [{"system": f"{terminology}/service-type", "code": "530",
                                    "display": "Peer support"}]},
        "subject": {"reference": f"Patient/{participant(who)}"},
        "participant": [
            {
                "type": [{"coding": [{"system": f"{terminology}/v3-ParticipationType",
                                      "code": "PPRF", "display": "primary performer"}]}],
                "period": period,
                "individual": {"reference": f"Practitioner/{practitioner(peer_of(who))}"},
            }
        ],
        "period": period,
        "length": {"value": 45, "unit": "min", "system": "http://unitsofmeasure.org",
                   "code": "min"},
        "serviceProvider": {"reference": f"Organization/{PROGRAM}"},
    }  # fmt: skip
    return found
