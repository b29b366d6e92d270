"""Fictional people for the demo: a program, a clinic, four participants, the staff, one EHR.

Nobody here exists. Loaded through the gate like everything else; secrets are made at random and
written to DATA_DIR/demo, readable by the owner alone.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey
from rich.console import Console

from service.app import House
from service.cli.intake import OPERATOR
from service.consent.form import OUR_FORM
from service.identity import accounts
from service.identity.accounts import Standing
from service.identity.passwords import Passwords
from service.vocabulary import Action, PatientId, Purpose, Relation, ResourceId, Role

PROGRAM = ResourceId("10000000-0000-4000-8000-000000000001")
CLINIC = ResourceId("10000000-0000-4000-8000-000000000002")
DANA = ResourceId("20000000-0000-4000-8000-000000000001")
SAM = ResourceId("20000000-0000-4000-8000-000000000002")
KIM = ResourceId("20000000-0000-4000-8000-000000000003")
MARIA = PatientId("30000000-0000-4000-8000-000000000001")
GOAL = ResourceId("40000000-0000-4000-8000-000000000001")
CONSENT = ResourceId("50000000-0000-4000-8000-000000000001")
PARTICIPANTS = {
    MARIA: ("Maria", "Santos", "1987-04-12", "female"),
    PatientId("30000000-0000-4000-8000-000000000002"): ("Terrence", "Boyd", "1979-11-30", "male"),
    PatientId("30000000-0000-4000-8000-000000000003"): ("Aiyana", "Begay", "1994-07-03", "female"),
    PatientId("30000000-0000-4000-8000-000000000004"): ("Walter", "Novak", "1961-01-19", "male"),
}
SCOPE = " ".join(
    f"system/{type_}.rs"
    for type_ in ("Patient", "Encounter", "DocumentReference", "Binary", "Provenance", "Consent",
                  "Practitioner", "PractitionerRole", "Organization", "Location", "Goal")
)  # fmt: skip


def load(house: House, console: Console, *, first: bool) -> None:
    """Once, at the first start of a demo; later starts find it there."""
    folder = house.settings.data_dir / "demo"
    if not first and (folder / "staff.json").exists():
        return
    console.print("Loading fictional demo people ...")
    while not house.access.healthy:  # the ledger's stream opens before anything is dated after it
        time.sleep(0.01)
    with house.access.operate(Action.IMPORT, OPERATOR) as act:
        for resource in resources():
            act.update(resource)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _write(folder / "staff.json", _staff(house))
    _write(folder / "ehr-client.json", _client(house))


def resources() -> list[dict[str, Any]]:
    """In the order in which they refer to each other."""
    found = [_organisation(PROGRAM, "Riverbend Recovery"), _organisation(CLINIC, "Lakeside Clinic")]
    found += [
        _practitioner(DANA, "Dana", "Whitfield"),
        _practitioner(SAM, "Sam", "Okafor"),
        _practitioner(KIM, "Kim", "Larsen"),
    ]
    found += [_role(DANA, "Peer Specialist"), _role(SAM, "Peer supervisor")]
    for number, (id_, name) in enumerate(PARTICIPANTS.items(), start=1):
        found += [_patient(id_, number, *name), _care_team(id_, number)]
    found += [_goal(), consent("active")]
    return found


def _organisation(id_: str, name: str) -> dict[str, Any]:
    return {
        "resourceType": "Organization",
        "id": id_,
        "active": True,
        "name": name,
        "address": [{"line": ["1 Main Street"], "city": "Springfield", "state": "NC",
                     "postalCode": "28000", "country": "US"}],
    }  # fmt: skip


def _practitioner(id_: str, given: str, family: str) -> dict[str, Any]:
    return {
        "resourceType": "Practitioner",
        "id": id_,
        "active": True,
        "identifier": [{"system": "urn:peernotes:demo:staff", "value": id_[-4:]}],
        "name": [{"family": family, "given": [given]}],
    }


def _role(practitioner: str, specialty: str) -> dict[str, Any]:
    coding = {"system": "http://nucc.org/provider-taxonomy", "code": "175T00000X",
              "display": "Peer Specialist"}  # fmt: skip
    return {
        "resourceType": "PractitionerRole",
        "id": "21" + practitioner[2:],
        "active": True,
        "practitioner": {"reference": f"Practitioner/{practitioner}"},
        "organization": {"reference": f"Organization/{PROGRAM}"},
        "specialty": [{"coding": [coding], "text": specialty}],
    }


def _patient(
    id_: str, number: int, given: str, family: str, born: str, gender: str
) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": id_,
        "active": True,
        "identifier": [{"system": "urn:peernotes:demo:record", "value": f"RR-{number:04}"}],
        "name": [{"use": "official", "family": family, "given": [given]}],
        "gender": gender,
        "birthDate": born,
        "telecom": [{"system": "phone", "value": f"555-01{number:02}", "use": "mobile"}],
        "address": [{"line": [f"{number} River Road"], "city": "Springfield", "state": "NC",
                     "postalCode": "28001", "country": "US"}],
    }  # fmt: skip


def _care_team(patient: str, number: int) -> dict[str, Any]:
    def member(practitioner: str, text: str) -> dict[str, Any]:
        return {
            "role": [{"text": text}],
            "member": {"reference": f"Practitioner/{practitioner}"},
            "period": {"start": "2026-01-01"},
        }

    return {
        "resourceType": "CareTeam",
        "id": f"60000000-0000-4000-8000-{number:012}",
        "status": "active",
        "name": "Peer support",
        "subject": {"reference": f"Patient/{patient}"},
        "period": {"start": "2026-01-01"},
        "participant": [
            member(DANA, "Peer specialist"),
            member(SAM, "Peer supervisor"),
            member(KIM, "Physician"),
        ],
    }


def _goal() -> dict[str, Any]:
    return {
        "resourceType": "Goal",
        "id": GOAL,
        "lifecycleStatus": "active",
        "description": {"text": "I want to see my sister every week"},
        "subject": {"reference": f"Patient/{MARIA}"},
        "startDate": "2026-02-01",
        "expressedBy": {"reference": f"Patient/{MARIA}"},
    }


def consent(status: str) -> dict[str, Any]:
    """Maria lets Lakeside Clinic see what concerns her treatment, Part 2 records included."""
    return {
        "resourceType": "Consent",
        "id": CONSENT,
        "status": status,
        "scope": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope",
                              "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{MARIA}"},
        "dateTime": "2026-02-01T10:00:00-05:00",
        "performer": [{"reference": f"Patient/{MARIA}"}],
        "organization": [{"reference": f"Organization/{PROGRAM}"}],
        "sourceAttachment": {"contentType": "application/pdf", "language": "en",
                             "title": "Signed consent form, 42 CFR 2.31",
                             "creation": "2026-02-01T10:00:00-05:00"},
        "policy": [{"uri": OUR_FORM}],
        "verification": [{"verified": True, "verifiedWith": {"reference": f"Patient/{MARIA}"},
                          "verificationDate": "2026-02-01T10:00:00-05:00"}],
        "provision": {
            "type": "permit",
            "period": {"start": "2026-02-01", "end": "2030-01-31"},
            "actor": [{"role": {"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                "code": "IRCP"}]}, "reference": {"reference": f"Organization/{CLINIC}"}}],
            "purpose": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                         "code": "TREAT"}],
        },
    }  # fmt: skip


def _staff(house: House) -> list[dict[str, str]]:
    people = {
        "dana": Standing(Role.PEER, organisation=PROGRAM, practitioner=DANA),
        "sam": Standing(Role.SUPERVISOR, organisation=PROGRAM, practitioner=SAM),
        "kim": Standing(
            Role.CLINICIAN, organisation=PROGRAM, practitioner=KIM, medical=True,
            purposes=(Purpose.TREAT, Purpose.ETREAT, Purpose.BTG),
        ),
        "casey": Standing(Role.COMPLIANCE, organisation=PROGRAM),
        "alex": Standing(Role.ADMINISTRATOR, organisation=PROGRAM),
        "maria": Standing(Role.PARTICIPANT, patient=MARIA),
    }  # fmt: skip
    passwords = Passwords()
    with house.access.work(
        Action.ACCOUNT, agent=OPERATOR.principal, client=OPERATOR.client
    ) as work:
        made = {
            name: accounts.create_person(
                work.connection, work.keyring, passwords, work.at, username=name, standing=standing
            )
            for name, standing in people.items()
        }
    return [
        {
            "username": name,
            "password": made[name].password,
            "totp_secret": made[name].totp_secret,
            "role": standing.role.value,
        }
        for name, standing in people.items()
    ]


def _client(house: House) -> dict[str, Any]:
    key = ECKey.generate_key("P-384", auto_kid=True)
    public = key.as_dict(private=False) | {"alg": "ES384", "use": "sig"}
    standing = Standing(Role.EHR, Relation.OUTSIDE, organisation=CLINIC)
    with house.access.work(
        Action.ACCOUNT, agent=OPERATOR.principal, client=OPERATOR.client
    ) as work:
        client_id = accounts.create_client(
            work.connection, work.keyring, work.at, standing=standing, scope=SCOPE,
            jwks={"keys": [public]},
        )  # fmt: skip
    return {
        "client_id": client_id,
        "token_url": f"{house.settings.base_url}/oauth/token",
        "private_jwk": key.as_dict(private=True) | {"alg": "ES384"},
        "scope": SCOPE,
    }


def _write(path: Path, content: Any) -> None:  # noqa: ANN401 (JSON)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
