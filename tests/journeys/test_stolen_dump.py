"""A thief with every disk of the house, but not the keyring, learns nothing about anybody.

Canaries go in by every door, in every field that takes words; then the service is killed, and
database, write-ahead log, PostgreSQL's whole data directory, logs, ledger and import journal are
searched. Canaries written there on purpose are found, so the search can find.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import psycopg
from canaries import BORN, Canaries, files, rows
from house import FHIR_JSON, actors
from participants import TABLET, Participant, care_team, session
from process import Process
from sqlalchemy import select, text

from service.cli.demo_data import CONSENT, DANA, MARIA
from service.cli.people import Person, fresh
from service.database import engine as engines
from service.records.tables import ix_date, ix_reference, ix_token, resource
from service.vocabulary import OPEN_START

Plant = Callable[[str], str]
MARIA_SERVED = Participant(MARIA, CONSENT, fresh())


def test_no_canary_is_found_on_any_disk(process: Process, tmp_path: Path) -> None:
    canaries = Canaries()
    plant, url = canaries.plant, process.settings.database_url
    _import(process, plant, tmp_path)
    process.start()
    with httpx2.Client(base_url=process.settings.base_url, timeout=30) as web:
        people, _ = actors(process.settings, web)
        for name in ("dana", "sam", "kim", "casey"):
            assert people[name].sign_in().status_code == 200
        _push(people["dana"], plant)
        _write(people, plant)
        _ask(people, plant)
    process.kill()
    assert len(canaries.planted) >= 64
    places = [process.settings.data_dir, process.log]
    if url.startswith("postgresql"):
        places.append(_data_directory(url))
        assert rows(canaries, url) == []
    assert process.settings.sqlite is False or list(process.settings.data_dir.rglob("*.db-wal"))
    assert files(canaries, places) == []
    assert _indexed(url) <= {"active", "identifier"}, "no name, address or birth date, even hashed"
    _control(url, canaries, places)


def _import(process: Process, plant: Plant, folder: Path) -> None:
    """Through `peernotes import`, one line of it refused."""
    who = Participant(fresh(), fresh(), fresh())
    person = _patient(who.id, plant)
    visit = {
        "resourceType": "Encounter", "id": fresh(), "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "type": [{"text": plant("Encounter.type")}],
        "reasonCode": [{"text": plant("Encounter.reasonCode")}],
        "identifier": [{"system": "urn:visit", "value": plant("Encounter.identifier")}],
        "subject": {"reference": f"Patient/{who.id}", "display": plant("subject.display")},
    }  # fmt: skip
    broken = visit | {"id": fresh(), "status": plant("refused status")}
    lines = {
        "Patient": [person],
        "CareTeam": [care_team(who, (DANA,))],
        "Encounter": [visit, broken],
    }
    for type_, resources in lines.items():
        text = "".join(json.dumps(each) + "\n" for each in resources)
        (folder / f"{type_}.ndjson").write_text(text + "not json " + plant("junk line") + "\n")
    assert process.command("import", str(folder)).returncode == 1, "lines are refused"
    report = (process.settings.data_dir / "import.tsv").read_text()
    assert "Encounter.ndjson\t2" in report


def _patient(id_: str, plant: Plant) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "id": id_, "birthDate": BORN,
        "identifier": [{"system": f"urn:{plant('identifier.system')}",
                        "value": plant("identifier.value")}],
        "name": [{"family": plant("family"), "given": [plant("given")], "text": plant("name"),
                  "prefix": [plant("prefix")], "suffix": [plant("suffix")]}],
        "telecom": [{"system": "phone", "value": plant("phone")},
                    {"system": "email", "value": f"{plant('email')}@example.org"}],
        "address": [{"line": [plant("line")], "city": plant("city"), "state": plant("state"),
                     "district": plant("district"), "postalCode": plant("postal code"),
                     "text": plant("address"), "country": plant("country")}],
        "contact": [{"name": {"text": plant("contact")}, "telecom": [
                     {"system": "phone", "value": plant("contact phone")}]}],
        "maritalStatus": {"text": plant("marital status")},
        "text": {"status": "generated",
                 "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{plant("narrative")}</div>'},
    }  # fmt: skip


def _push(dana: Person, plant: Plant) -> None:
    """Applied, rejected, quarantined and unreadable operations."""
    words = {
        "did": {"chips": [plant("chip")], "text": plant("did")},
        "response": {"chips": [plant("response chip")], "text": plant("response")},
        "sentence": plant("sentence"), "their_words": plant("their words"),
        "shared_experience": plant("shared experience"), "no_goal_reason": plant("no goal"),
        "next_step": {"text": plant("next step"), "date": "2027-01-01"},
        "agreement": "not_shown", "agreement_reason": plant("agreement"),
    }  # fmt: skip
    passages = [
        {"id": fresh(), "audience": "team", "text": plant("team passage")},
        {"id": fresh(), "audience": "private", "text": plant("private passage")},
    ]
    stranger = Participant(fresh(), fresh(), fresh())
    applied = session(dana, MARIA_SERVED, passages=passages, **words)
    results = dana.push(
        TABLET, applied.operation,
        session(dana, MARIA_SERVED, text=plant("rejected"), place=plant("place")).operation,
        session(dana, stranger, text=plant("quarantined")).operation,
        applied.operation | {"type": plant("operation type")},
        {plant("field"): plant("value"), "op_id": plant("op_id")},
    ).json()["results"]  # fmt: skip
    statuses = [each["status"] for each in results]
    assert statuses == ["applied", "rejected", "quarantined", "rejected", "rejected"]


def _write(people: dict[str, Person], plant: Plant) -> None:
    """By FHIR writes of staff, a declaration, a question."""
    dana, kim = people["dana"], people["kim"]
    subject = {"subject": {"reference": f"Patient/{MARIA}", "display": plant("display")}}
    note = base64.b64encode(plant("note").encode()).decode()
    for body in (
        {"resourceType": "Goal", "lifecycleStatus": "active", "note": [{"text": plant("note")}],
         "description": {"text": plant("goal")}} | subject,
        {"resourceType": "Observation", "status": "final", "code": {"text": plant("measure")},
         "valueString": plant("answer"), "note": [{"text": plant("comment")}]} | subject,
        {"resourceType": "ServiceRequest", "status": "active", "intent": "order",
         "code": {"text": plant("order")}, "patientInstruction": plant("instruction")} | subject,
        {"resourceType": "Encounter", "status": "finished", "type": [{"text": plant("type")}],
         "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
         "serviceType": {"text": plant("service")}} | subject,
        {"resourceType": "DocumentReference", "status": "current", "description": plant("about"),
         "type": {"text": plant("document type")}, "content": [{"attachment": {
          "contentType": "text/plain", "data": note, "title": plant("title")}}]} | subject,
    ):  # fmt: skip
        answer = dana.post(f"/fhir/{body['resourceType']}", body)
        assert answer.status_code == 201, answer.text
    stated = [("reason", "valueString", plant("emergency")),
              ("facility", "valueString", plant("facility")),
              ("consentCannotBeObtained", "valueBoolean", True)]  # fmt: skip
    declared = {
        "resourceType": "Parameters",
        "parameter": [{"name": name, kind: value} for name, kind, value in stated],
    }
    assert kim.post(f"/fhir/Patient/{MARIA}/$break-glass", declared).status_code == 200
    waiting = people["sam"].get("/supervise/queue").json()["waiting"][0]["note"]
    question = {"question": plant("question")}
    assert people["sam"].post(f"/supervise/notes/{waiting}/return", question).status_code == 200


def _ask(people: dict[str, Person], plant: Plant) -> None:
    """In addresses, headers, forms and broken bodies: what must not reach a log."""
    dana, web = people["dana"], people["dana"].web
    headers = {"authorization": f"Bearer {dana.token}"}
    for path in (
        f"/fhir/Patient?name={plant('search')}", f"/fhir/Patient?{plant('parameter')}=1",
        f"/fhir/Patient/{plant('id')}", f"/fhir/{plant('type')}/1", f"/{plant('path')}",
        f"/fhir/Encounter?patient={MARIA}&type={plant('code')}",
        f"/review/accounting/{plant('accounting')}", f"/fhir/Encounter?_page={plant('page')}",
    ):  # fmt: skip
        assert web.get(path, headers=headers).status_code < 500
    form = {"family": plant("form"), "birthdate": BORN}
    assert web.post("/fhir/Patient/_search", data=form, headers=headers).status_code == 200
    broken = f'{{"resourceType":"Goal","x":"{plant("broken body")}"'
    media = headers | {"content-type": FHIR_JSON, "x-request-id": plant("request id"),
                       "user-agent": plant("user agent")}  # fmt: skip
    assert web.post("/fhir/Goal", content=broken, headers=media).status_code == 400
    wrong = {"username": plant("username"), "password": plant("password"), "totp": "000000"}
    assert web.post("/oauth/sign-in", json=wrong).status_code in (400, 401)
    junk = {"authorization": f"Bearer {plant('token')}"}
    assert web.get("/fhir/Patient", headers=junk).status_code == 401


def _data_directory(url: str) -> Path:
    """All of the server's files, its log included; first everything is put on disk."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        found = connection.execute("SHOW data_directory").fetchone()
    assert found
    return Path(found[0])


def _indexed(url: str) -> set[str]:
    """Under which names anything about a Patient is indexed."""
    engine = engines.build(url, pool_size=1)
    found: set[str] = set()
    with engine.begin() as connection:
        for table in (ix_token, ix_date, ix_reference):
            names = select(table.c.param).where(table.c.type == "Patient").distinct()
            found |= set(connection.execute(names).scalars())
        dated = select(resource.c.lo).where(resource.c.type == "Patient", resource.c.lo < 0)
        assert connection.execute(dated.where(resource.c.lo > OPEN_START)).all() == [], "born 1931"
    engine.dispose()
    return found


def _control(url: str, canaries: Canaries, places: list[Path]) -> None:
    """The same search finds what was put where it looks, in every spelling."""
    engine = engines.build(url, pool_size=1)
    with engine.begin() as connection:
        binary = "BYTEA" if engine.dialect.name == "postgresql" else "BLOB"
        connection.execute(text(f"CREATE TABLE control (spelt {binary})"))
        for _, spelt in canaries.spellings():
            connection.execute(text("INSERT INTO control VALUES (:spelt)"), {"spelt": spelt})
    if engine.dialect.name == "postgresql":
        assert {each.partition(": ")[0] for each in rows(canaries, url)} == {"control"}
        _data_directory(url)
    spellings = {spelling for spelling, _ in canaries.spellings()}
    assert {each.rpartition(": ")[2] for each in files(canaries, places)} == spellings
    engine.dispose()
