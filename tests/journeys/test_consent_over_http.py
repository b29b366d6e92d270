"""Consent over HTTP: outside callers see what a participant opened to them, while it is open."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from house import Service
from participants import TABLET, Logged, Participant, arrive, consent, log, session, store

from service.cli.demo_data import CLINIC, DANA, PROGRAM
from service.cli.people import Ehr, Person, fresh
from service.identity.accounts import Standing
from service.vocabulary import PatientId, ResourceId, Role

ELSEWHERE = ResourceId("10000000-0000-4000-8000-0000000000aa")
SECRET = "The brother in Duluth"
KEPT = "What was said about the sister in Fargo"


@pytest.fixture
def ehr(service: Service) -> Ehr:
    return service.authorized()


def face(answer: httpx2.Response, *ids: str) -> tuple[object, ...]:
    """What a caller can tell answers apart by, with the ids asked for blanked out."""
    body = answer.text
    for id_ in ids:
        body = body.replace(id_, "ID")
    headers = {name: value for name, value in answer.headers.items() if name != "date"}
    return answer.status_code, headers, body


def robin_of(service: Service, who: Participant) -> Person:
    """The participant's own sign-in."""
    standing = Standing(Role.PARTICIPANT, patient=PatientId(who.id))
    return service.person(f"robin-{who.id[:8]}", standing)


def matches(answer: httpx2.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {
        each["resource"]["id"]
        for each in answer.json().get("entry", [])
        if each["search"]["mode"] == "match"
    }


def asked_about(who: str, encounter: str, note: str) -> Iterator[str]:
    """Every way to come across a session from outside."""
    for type_, id_ in (("Encounter", encounter), ("DocumentReference", note), ("Patient", who)):
        yield f"/fhir/{type_}/{id_}"
        yield f"/fhir/{type_}/{id_}/_history/1"
        yield f"/fhir/{type_}/{id_}/_history"
    yield f"/fhir/Patient?_id={who}"
    yield f"/fhir/Encounter?patient={who}&_id={encounter}"
    yield f"/fhir/Encounter?patient={who}&_include=Encounter:patient&_total=accurate"
    yield f"/fhir/Encounter?patient={who}&_revinclude=Provenance:target"
    yield f"/fhir/DocumentReference?patient={who}&_include=DocumentReference:encounter"
    yield f"/fhir/Provenance?target=Encounter/{encounter}&patient={who}"
    yield f"/fhir/Consent?patient={who}"
    yield f"/fhir/Goal?patient={who}&_summary=count"


def test_what_is_hidden_answers_byte_for_byte_as_what_is_absent(service: Service, ehr: Ehr) -> None:
    who = arrive(service, name="Hidden")
    logged = log(service.signed_in("dana"), who, text=SECRET)
    hidden = (who.id, logged.encounter, logged.note)
    absent = (fresh(), fresh(), fresh())
    for there, nowhere in zip(asked_about(*hidden), asked_about(*absent), strict=True):
        for method in ("GET", "HEAD") if "?" not in there and "_history" not in there else ("GET",):
            met = face(service.ask(ehr, method, there), *hidden)
            assert met == face(service.ask(ehr, method, nowhere), *absent), there
    writer, open_ = service.system(CLINIC), arrive(service, name="Open", consented=True)
    for tag in ('W/"1"', 'W/"2"'):
        there, nowhere = (
            service.ask(writer, "PUT", f"/fhir/Encounter/{id_}", visit(open_, id_), if_match=tag)
            for id_ in (logged.encounter, absent[1])
        )
        assert face(there, *hidden) == face(nowhere, *absent)


def visit(who: Participant, id_: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id_,
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "type": [{"text": "Visit"}],
        "subject": {"reference": f"Patient/{who.id}"},
    }


def test_without_consent_nobody_outside_sees_anything(service: Service, ehr: Ehr) -> None:
    who = arrive(service, name="Silent")
    logged = log(service.signed_in("dana"), who)
    for path in asked_about(who.id, logged.encounter, logged.note):
        answer = service.ask(ehr, "GET", path)
        if answer.status_code == 200:
            assert answer.json().get("entry") is None, path
        else:
            assert answer.status_code in (403, 404), path
    assert service.ask(ehr, "GET", "/fhir/Encounter").status_code == 403, "who is asked about?"


def test_a_permit_opens_to_the_organisation_it_names_and_to_no_other(
    service: Service, ehr: Ehr
) -> None:
    store(service, {"resourceType": "Organization", "id": ELSEWHERE, "name": "Elsewhere"})
    other = service.system(ELSEWHERE)
    who = arrive(service, name="Open", consented=True)
    logged = log(service.signed_in("dana"), who, text="They met again.")
    assert matches(service.ask(ehr, "GET", f"/fhir/Encounter?patient={who.id}")) == {
        logged.encounter
    }
    note = service.ask(ehr, "GET", f"/fhir/DocumentReference/{logged.note}")
    assert "42 CFR part 2" in note.headers["part2-notice"]
    assert matches(service.ask(other, "GET", f"/fhir/Encounter?patient={who.id}")) == set()
    assert service.ask(other, "GET", f"/fhir/Encounter/{logged.encounter}").status_code == 404
    for purpose, seen in (("HPAYMT", 404), ("HMARKT", 404), ("PATRQT", 403)):
        answer = service.ask(
            ehr, "GET", f"/fhir/Encounter/{logged.encounter}", x_purpose_of_use=purpose
        )
        assert answer.status_code in (seen, 403), purpose


def test_revocation_stops_the_next_pull_and_kills_page_links(service: Service, ehr: Ehr) -> None:
    who = arrive(service, name="Revoking", consented=True)
    dana = service.signed_in("dana")
    logged = [log(dana, who) for _ in range(3)]
    first = service.ask(ehr, "GET", f"/fhir/Encounter?patient={who.id}&_count=1")
    link = next(each["url"] for each in first.json()["link"] if each["relation"] == "next")
    assert service.ask(ehr, "GET", link).status_code == 200
    robin = robin_of(service, who)
    held = robin.get(f"/fhir/Consent/{who.consent}")
    revoked = held.json() | {"status": "inactive"}
    answer = robin.put(f"/fhir/Consent/{who.consent}", revoked, if_match=held.headers["etag"])
    assert answer.status_code == 200
    assert service.ask(ehr, "GET", link).status_code == 400
    assert matches(service.ask(ehr, "GET", f"/fhir/Encounter?patient={who.id}")) == set()
    for each in logged:
        assert service.ask(ehr, "GET", f"/fhir/Encounter/{each.encounter}").status_code == 404
    again = robin.get(f"/fhir/Consent/{who.consent}")
    given = robin.put(f"/fhir/Consent/{who.consent}", consent(who), if_match=again.headers["etag"])
    assert given.status_code == 200
    assert service.ask(ehr, "GET", link).status_code == 400, "an old link stays dead"
    assert service.ask(ehr, "GET", f"/fhir/Encounter/{logged[0].encounter}").status_code == 200


def test_a_private_passage_reaches_its_author_and_its_participant_alone(
    service: Service, ehr: Ehr
) -> None:
    who = arrive(service, name="Private", consented=True)
    dana = service.signed_in("dana")
    logged = log(dana, who, private=KEPT)
    robin = robin_of(service, who)
    for friend in (dana, robin):
        found = service.ask(friend, "GET", f"/fhir/DocumentReference/{logged.private}")
        assert found.status_code == 200
        data = found.json()["content"][0]["attachment"]["data"]
        assert base64.b64decode(data).decode() == KEPT
    sam, kim = service.signed_in("sam"), service.signed_in("kim")
    for stranger, purpose in ((ehr, None), (sam, None), (sam, "TREAT"), (kim, None)):
        headers = {"x_purpose_of_use": purpose} if purpose else {}
        for path in _ways_to(who, logged):
            answer = service.ask(stranger, "GET", path, **headers)
            assert logged.private not in answer.text.replace(path, ""), path
            for spelt in _spellings(KEPT):
                assert spelt not in answer.text, path
    assert matches(service.ask(sam, "GET", f"/fhir/DocumentReference?patient={who.id}")) == {
        logged.note
    }


def _ways_to(who: Participant, logged: Logged) -> Iterator[str]:
    yield f"/fhir/DocumentReference/{logged.private}"
    yield f"/fhir/DocumentReference/{logged.private}/_history"
    yield f"/fhir/DocumentReference/{logged.private}/_history/1"
    yield f"/fhir/DocumentReference?patient={who.id}&_revinclude=Provenance:target"
    yield f"/fhir/Encounter?patient={who.id}&_revinclude=Provenance:target"
    yield f"/fhir/Provenance?patient={who.id}"
    yield f"/fhir/Provenance?target=DocumentReference/{fresh()}&patient={who.id}"
    yield f"/fhir/Task?patient={who.id}"
    yield "/supervise/queue"


def _spellings(text: str) -> Iterator[str]:
    """As it stands, and inside base64 at each of its three alignments."""
    yield text
    for shift in range(3):
        spelt = base64.b64encode(b"x" * shift + text.encode()).decode()
        yield spelt[4:-4]


def test_a_peer_sees_the_caseload_and_files_nothing_beyond_it(service: Service) -> None:
    mine, other = arrive(service, name="Mine"), arrive(service, name="Other", team=())
    dana = service.signed_in("dana")
    kept = log(dana, mine)
    assert service.ask(dana, "GET", f"/fhir/Encounter/{kept.encounter}").status_code == 200
    assert service.ask(dana, "GET", f"/fhir/Patient/{other.id}").status_code == 404
    assert matches(service.ask(dana, "GET", f"/fhir/Patient?_id={other.id}")) == set()
    everybody = matches(service.ask(dana, "GET", "/fhir/Patient?_count=200"))
    assert mine.id in everybody
    assert other.id not in everybody
    from_afar = session(dana, other)
    assert dana.push(TABLET, from_afar.operation).json()["results"][0]["status"] == "quarantined"
    assert service.ask(dana, "GET", f"/fhir/Encounter/{from_afar.encounter}").status_code == 404
    ended = service.ask(service.signed_in("kim"), "GET", f"/fhir/CareTeam/{mine.care_team}")
    team = ended.json()
    for member in team["participant"]:
        if member["member"]["reference"].endswith(DANA):
            member["period"]["end"] = "2026-01-02"
    closed = service.ask(
        service.signed_in("kim"), "PUT", f"/fhir/CareTeam/{mine.care_team}", team,
        if_match=ended.headers["etag"],
    )  # fmt: skip
    assert closed.status_code == 200, closed.text
    assert service.ask(dana, "GET", f"/fhir/Encounter/{kept.encounter}").status_code == 404


def test_an_administrator_sees_no_clinical_content(service: Service) -> None:
    who = arrive(service, name="Unseen")
    logged = log(service.signed_in("dana"), who)
    alex = service.signed_in("alex")
    for path in asked_about(who.id, logged.encounter, logged.note):
        assert service.ask(alex, "GET", path).status_code == 403, path
    for path in ("/review/entries", "/review/break-glass", "/supervise/queue"):
        assert service.ask(alex, "GET", path).status_code == 403, path
    assert service.ask(alex, "GET", f"/fhir/Organization/{PROGRAM}").status_code == 200


def test_a_participant_sees_the_own_record_and_nobody_elses(service: Service) -> None:
    mine, other = arrive(service, name="Own"), arrive(service, name="Others")
    dana = service.signed_in("dana")
    kept, foreign = log(dana, mine), log(dana, other)
    robin = robin_of(service, mine)
    assert matches(robin.get(f"/fhir/Encounter?patient={mine.id}")) == {kept.encounter}
    assert matches(robin.get("/fhir/Encounter")) == {kept.encounter}
    assert robin.get(f"/fhir/Patient/{mine.id}").status_code == 200
    assert robin.get(f"/fhir/Encounter/{foreign.encounter}").status_code == 404
    assert robin.get(f"/fhir/Patient/{other.id}").status_code == 404
    assert matches(robin.get(f"/fhir/Encounter?patient={other.id}")) == set()
    assert robin.get(f"/review/accounting/{mine.id}").status_code == 200


def test_a_participant_reads_the_log_of_the_own_record_alone(service: Service) -> None:
    mine, other = arrive(service, name="Own"), arrive(service, name="Others")
    dana, casey = service.signed_in("dana"), service.signed_in("casey")
    for who in (mine, other):
        log(dana, who)
    robin = robin_of(service, mine)
    for path in (
        f"/review/accounting/{other.id}",
        f"/review/entries?patient={other.id}",
        f"/fhir/AuditEvent?patient={other.id}",
    ):
        assert robin.get(path).status_code == 403, path
        assert robin.get(path.replace(other.id, mine.id)).status_code == 200
    for entry in robin.get("/review/entries?limit=1000").json()["entries"]:
        assert entry["patient"] == mine.id
    about_other = casey.get(f"/review/entries?patient={other.id}").json()["entries"][0]["id"]
    assert casey.get(f"/fhir/AuditEvent/{about_other}").status_code == 200
    assert robin.get(f"/fhir/AuditEvent/{about_other}").status_code == 404
    assert matches(robin.get(f"/fhir/AuditEvent?_id={about_other}")) == set()
    for path in (f"/review/entries/{about_other}", f"/review/entries/{about_other}/leaf"):
        assert robin.get(path).status_code == 403, path
