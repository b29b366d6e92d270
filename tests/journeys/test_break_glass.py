"""Breaking the glass (42 CFR 2.51): declared first, one participant, reviewed."""

from typing import Any

import httpx2
import pytest
from house import Caller, Service
from participants import arrive, log

from service.cli.demo_data import KIM, PROGRAM
from service.cli.people import fresh
from service.identity.accounts import Standing
from service.vocabulary import Purpose, Relation, Role

INSIDE = Relation.INSIDE

REASON = "Found unresponsive at the bus station"


def declare(service: Service, who: Caller, patient: str, **changes: Any) -> httpx2.Response:
    stated = {
        "reason": {"valueString": REASON},
        "facility": {"valueString": "Lakeside Emergency Department"},
        "consentCannotBeObtained": {"valueBoolean": True},
        "minutes": {"valueInteger": 5},
    } | changes
    parameters = [{"name": name} | value for name, value in stated.items() if value]
    body = {"resourceType": "Parameters", "parameter": parameters}
    return service.ask(who, "POST", f"/fhir/Patient/{patient}/$break-glass", body)


def test_only_the_declared_participant_opens_and_only_to_who_declared(service: Service) -> None:
    who, other = arrive(service, name="Urgent", team=()), arrive(service, name="Other", team=())
    kim = service.signed_in("kim")
    for each in (who, other):
        store_off_team(service, each.care_team)
    path = f"/fhir/Patient/{who.id}"
    assert service.ask(kim, "GET", path).status_code == 404
    assert service.ask(kim, "GET", path, x_purpose_of_use="BTG").status_code == 404
    assert declare(service, kim, who.id).status_code == 200
    assert service.ask(kim, "GET", path, x_purpose_of_use="BTG").status_code == 200
    assert service.ask(kim, "GET", path).status_code == 404, "everyday work sees no more"
    elsewhere = f"/fhir/Patient/{other.id}"
    assert service.ask(kim, "GET", elsewhere, x_purpose_of_use="BTG").status_code == 404
    colleague = service.person(
        "lee", Standing(Role.CLINICIAN, organisation=PROGRAM, practitioner=KIM, medical=True,
                        purposes=(Purpose.TREAT, Purpose.BTG)),
    )  # fmt: skip
    assert service.ask(colleague, "GET", path, x_purpose_of_use="BTG").status_code == 404


def store_off_team(service: Service, care_team: str) -> None:
    """The team that `arrive` needs for its form ends: nobody is on it now."""
    system = service.system(PROGRAM, relation=INSIDE)
    held = service.ask(system, "GET", f"/fhir/CareTeam/{care_team}")
    team = held.json() | {"status": "inactive"}
    path = f"/fhir/CareTeam/{care_team}"
    answer = service.ask(system, "PUT", path, team, if_match=held.headers["etag"])
    assert answer.status_code == 200


def test_who_is_not_medical_or_not_entitled_breaks_nothing(service: Service) -> None:
    who = arrive(service, name="Closed")
    unskilled = service.person(
        "pat", Standing(Role.CLINICIAN, organisation=PROGRAM, practitioner=KIM,
                        purposes=(Purpose.TREAT, Purpose.BTG)),
    )  # fmt: skip
    unentitled = service.person(
        "max", Standing(Role.CLINICIAN, organisation=PROGRAM, practitioner=KIM, medical=True)
    )
    callers: list[Caller] = [unskilled, unentitled, service.authorized()]
    callers += [service.signed_in(name) for name in ("dana", "sam", "casey", "alex", "maria")]
    for caller in callers:
        assert declare(service, caller, who.id).status_code == 403
        answer = service.ask(caller, "GET", f"/fhir/Patient/{who.id}", x_purpose_of_use="BTG")
        assert answer.status_code == 403


@pytest.mark.parametrize("dropped", ["reason", "facility", "consentCannotBeObtained"])
def test_a_declaration_that_lacks_anything_is_refused(service: Service, dropped: str) -> None:
    who = arrive(service, name="Undeclared")
    kim = service.signed_in("kim")
    answer = declare(service, kim, who.id, **{dropped: None})
    assert answer.status_code == 400
    assert REASON not in answer.text
    path = f"/fhir/Patient/{who.id}"
    assert service.ask(kim, "GET", path, x_purpose_of_use="BTG").status_code == 404


def test_declaring_tells_nothing_about_who_exists(service: Service) -> None:
    who = arrive(service, name="There")
    kim = service.signed_in("kim")
    there, nowhere = declare(service, kim, who.id), declare(service, kim, fresh())
    assert there.status_code == nowhere.status_code == 200
    grant = there.json()["parameter"][0]["valueId"]
    other = nowhere.json()["parameter"][0]["valueId"]
    assert there.text.replace(grant, "") == nowhere.text.replace(other, "")


def test_the_compliance_officer_sees_who_broke_it_and_what_was_read(service: Service) -> None:
    who = arrive(service, name="Reviewed")
    logged = log(service.signed_in("dana"), who, private="Between us, even then.")
    kim, casey = service.signed_in("kim"), service.signed_in("casey")
    assert declare(service, kim, who.id).status_code == 200
    seen = service.ask(kim, "GET", f"/fhir/Encounter/{logged.encounter}", x_purpose_of_use="BTG")
    assert seen.status_code == 200
    kept = service.ask(
        kim, "GET", f"/fhir/DocumentReference/{logged.private}", x_purpose_of_use="BTG"
    )
    assert kept.status_code == 404, "a private passage opens to nobody else"
    declared = casey.get("/review/break-glass").json()["declarations"]
    mine = next(each for each in declared if each["patient"] == who.id)
    assert mine["principal"] == kim.user_id
    assert mine["record"]["reason"] == REASON
    entries = casey.get("/review/entries", params={"patient": who.id}).json()["entries"]
    kinds = [(each["kind"], each["purpose"]) for each in entries if each["agent"] == kim.user_id]
    assert ("break-glass", "BTG") in kinds
    read = [each for each in entries if f"Encounter/{logged.encounter}/_history/1" in
            each["records"] and each["purpose"] == "BTG"]  # fmt: skip
    assert [each["agent"] for each in read] == [kim.user_id]
    for nosy in ("dana", "sam", "kim", "alex"):
        assert service.signed_in(nosy).get("/review/break-glass").status_code == 403
    maria = service.signed_in("maria").get("/review/break-glass")
    assert (maria.status_code, maria.json()) == (200, {"declarations": []}), "only her own"
