"""What a stranger may read: the capability statement, SMART configuration, keys, health."""

import time

from house import Service

from service.fhir.capabilities import CAPABILITIES
from service.vocabulary import STORED_TYPES


def test_the_capability_statement_is_what_the_routes_do(service: Service) -> None:
    answer = service.web.get("/fhir/metadata")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json"
    statement = answer.json()
    assert statement["fhirVersion"] == "4.0.1"
    described = {each["type"]: each for each in statement["rest"][0]["resource"]}
    assert described.keys() == CAPABILITIES.keys()
    assert described.keys() <= STORED_TYPES | {"AuditEvent"}
    for type_, capability in CAPABILITIES.items():
        codes = {each["code"] for each in described[type_]["interaction"]}
        assert codes == set(capability.interactions)


def test_every_search_parameter_it_names_is_taken(service: Service) -> None:
    officer, ehr = service.signed_in("casey"), service.authorized()
    statement = service.web.get("/fhir/metadata").json()
    values = {"token": "x", "reference": "10000000-0000-4000-8000-000000000001", "date": "2026",
              "string": "x", "uri": "urn:x"}  # fmt: skip
    for each in statement["rest"][0]["resource"]:
        for parameter in each.get("searchParam", []):
            asker = officer if each["type"] == "AuditEvent" else ehr
            value = "0" if parameter["name"] == "outcome" else values[parameter["type"]]
            asked = {parameter["name"]: value}
            answer = asker.get(f"/fhir/{each['type']}", params=asked | {"_count": "1"})
            assert answer.status_code in (200, 403), (each["type"], parameter, answer.text)


def test_a_second_look_at_the_statement_costs_nothing(service: Service) -> None:
    first = service.web.get("/fhir/metadata")
    again = service.web.get("/fhir/metadata", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304


def test_smart_configuration_names_what_works(service: Service) -> None:
    found = service.web.get("/fhir/.well-known/smart-configuration").json()
    assert found["token_endpoint"] == f"{service.settings.base_url}/oauth/token"
    assert "private_key_jwt" in found["token_endpoint_auth_methods_supported"]
    keys = service.web.get("/oauth/jwks").json()["keys"]
    assert keys
    assert all("d" not in key for key in keys)


def test_health_and_front_page_answer_without_a_token(service: Service) -> None:
    for path in ("/healthz", "/readyz", "/", "/static/page.css"):
        assert service.web.get(path).status_code == 200, path


def test_a_checkpoint_is_published_within_seconds(service: Service) -> None:
    deadline = time.monotonic() + 20
    while service.web.get("/ledger/checkpoint").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
