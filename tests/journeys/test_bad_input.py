"""What nobody should send: it is refused in words that echo nothing, and never with a 500."""

import json
from typing import Any

import httpx2
import pytest
from house import FHIR_JSON, Service
from participants import TABLET, arrive

from service.cli.people import fresh

MARK = "Zanzibar-Quokka"
GOAL = {
    "resourceType": "Goal",
    "lifecycleStatus": "active",
    "description": {"text": MARK},
    "subject": {"reference": f"Patient/{TABLET}"},
}
TEXT = json.dumps(GOAL)
BODIES: dict[str, bytes] = {
    "empty": b"",
    "not JSON": f'{{"resourceType": "Goal", {MARK}'.encode(),
    "no object": f'["{MARK}"]'.encode(),
    "a number": b"1",
    "an empty object": b"{}",
    "not UTF-8": b'{"resourceType":"Goal","x":"\xff\xfe"}',
    "UTF-16": TEXT.encode("utf-16"),
    "a lone surrogate": b'{"resourceType":"Goal","description":{"text":"\\ud800"}}',
    "NUL": b'{"resourceType":"Goal","description":{"text":"a\\u0000b"}}',
    "deep": b'{"resourceType":"Goal","x":' + b'{"x":' * 5000 + b"1" + b"}" * 5001,
    "deep arrays": b'{"resourceType":"Goal","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a huge number": b'{"resourceType":"Goal","x":1e999999999}',
    "many digits": b'{"resourceType":"Goal","x":' + b"9" * 10_000 + b"}",
    "duplicate keys": TEXT.replace("{", f'{{"lifecycleStatus":"{MARK}",', 1).encode(),
    "duplicate resourceType": TEXT.replace("{", '{"resourceType":"Patient",', 1).encode(),
    "null": b'{"resourceType":"Goal","lifecycleStatus":null}',
    "NaN": b'{"resourceType":"Goal","x":NaN}',
    "an unknown element": TEXT.replace("description", MARK).encode(),
    "another type": TEXT.replace("Goal", "Encounter").encode(),
    "an unknown type": TEXT.replace("Goal", MARK).encode(),
    "a type that is no text": b'{"resourceType":["Goal"]}',
    "a wrong code": TEXT.replace("active", MARK).encode(),
    "a boolean as text": TEXT.replace(f'"{MARK}"', "true").encode(),
    "nobody's reference": TEXT.encode(),
    "a reference that is none": TEXT.replace("Patient/", f"{MARK}/").encode(),
    "10 MB": b'{"resourceType":"Goal","x":"' + MARK.encode() * 700_000 + b'"}',
}
ADDRESSES = (
    f"/fhir/{MARK}", f"/fhir/{MARK}/1", f"/fhir/Goal/{MARK}", f"/fhir/Goal/{MARK}/_history",
    f"/fhir/Goal/{TABLET}/_history/{MARK}", f"/fhir/Goal/{TABLET}/_history/99999999999999999999",
    f"/fhir/Goal/{TABLET}/_history/-1", f"/fhir/Goal/{TABLET}/_history/%F0%9F%A6%98",
    f"/fhir/Goal/{TABLET}/_history/\u0663", f"/fhir/Goal/{TABLET}/_history?_count={MARK}",
    f"/fhir/Goal/{TABLET}/_history?_count=\u0663", f"/fhir/Goal/{TABLET}/_history?_before=-4",
    f"/fhir/Goal?patient={MARK}%00", f"/fhir/Goal?{MARK}=1", f"/fhir/Goal?_count={MARK}",
    "/fhir/Goal?_count=99999999999999999999", "/fhir/Goal?_count=-1", "/fhir/Goal?_count=\u00b2",
    f"/fhir/Goal?_sort={MARK}", f"/fhir/Goal?_page={MARK}", f"/fhir/Goal?_include={MARK}:x",
    f"/fhir/Goal?start-date={MARK}", "/fhir/Goal?start-date=9999999999-01-01",
    "/fhir/Goal?start-date=0000-00-00", "/fhir/Goal?start-date=ap9999-12-31",
    f"/fhir/Goal?lifecycle-status:{MARK}=1", f"/fhir/Goal?patient.{MARK}=1", "/fhir/Goal?_id=%00",
    f"/fhir/Goal?_has:{MARK}=1", "/fhir/Goal?" + "patient=1&" * 2000, f"/fhir/Goal?_format={MARK}",
    "/fhir/Patient?name=%00", "/fhir/Patient?birthdate=ge99999", "/fhir/Goal?%FF%FE=1",
    "/fhir/Goal/../Goal/x", "/fhir//Goal", "/fhir/Goal/", "/fhir/%00", "/fhir/Goal%00/1",
    f"/review/entries/{MARK}", "/ledger/tile/0/x999", "/ledger/tile/99999999999/000",
    "/ledger/tile/0/%00", "/ledger/tile/0/\u0663\u0663\u0663", "/ledger/tile/0/000.p/0",
)  # fmt: skip
REVIEWS = (
    f"/review/entries?patient={MARK}", "/review/entries?limit=\u00b2", "/review/entries?before=x.y",
    "/review/entries?before=99999999999999999999999." + TABLET, "/review/entries?outcome=7",
    f"/review/entries?since={MARK}", "/review/entries?since=0001-01-01T00:00:00%2B14:00",
    "/review/entries?before=\u00b2." + TABLET, f"/review/accounting/{MARK}",
    f"/review/accounting/{TABLET}?since={MARK}", f"/review/entries/{MARK}/proof",
    f"/fhir/AuditEvent?date={MARK}", f"/fhir/AuditEvent?_before={MARK}",
    "/fhir/AuditEvent?_before=99999999999999999999999." + TABLET, "/fhir/AuditEvent?_count=\u00b2",
    "/review/break-glass?since=9999-99-99", f"/ledger/tile/entries/{MARK}",
    "/ledger/tile/entries/99999999999999999999999", f"/fhir/AuditEvent?outcome={MARK}",
)  # fmt: skip


def refused(answer: httpx2.Response, *, mark: str = MARK) -> None:
    """4xx, an OperationOutcome where FHIR is spoken, and not a word of what was sent."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    assert mark not in answer.text
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    outcome = answer.json()
    if "/oauth/" not in answer.url.path:
        assert answer.headers["content-type"] == FHIR_JSON
        assert outcome["resourceType"] == "OperationOutcome"
        assert outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize("kind", BODIES)
def test_a_bad_body_is_refused(service: Service, kind: str) -> None:
    dana = service.signed_in("dana")
    for method, path in (("POST", "/fhir/Goal"), ("PUT", f"/fhir/Goal/{fresh()}")):
        refused(service.ask(dana, method, path, BODIES[kind], content_type=FHIR_JSON))
    declare = f"/fhir/Patient/{TABLET}/$break-glass"
    refused(service.ask(dana, "POST", declare, BODIES[kind], content_type=FHIR_JSON))


@pytest.mark.parametrize("kind", BODIES)
def test_a_bad_push_is_refused(service: Service, kind: str) -> None:
    dana = service.signed_in("dana")
    refused(service.ask(dana, "POST", "/sync/v1/push", BODIES[kind]))
    operations: list[Any] = [{}, {"op_id": MARK}, {"op_id": fresh(), "type": MARK}]
    batch = {"device": TABLET, "app_version": "1", "ops": operations}
    answer = dana.push(TABLET, *operations)
    assert answer.status_code == 200, batch
    assert [each["status"] for each in answer.json()["results"]] == ["rejected"] * 3
    assert MARK not in answer.text


def test_a_bad_address_is_refused(service: Service) -> None:
    dana, casey = service.signed_in("dana"), service.signed_in("casey")
    asked = [(dana, path) for path in ADDRESSES] + [(casey, path) for path in REVIEWS]
    answers = [(path, service.ask(caller, "GET", path)) for caller, path in asked]
    assert [path for path, answer in answers if answer.status_code >= 500] == []
    for path, answer in answers:
        if answer.status_code == 200:
            assert MARK not in answer.text.replace(path, ""), path
        else:
            refused(answer)


def test_bad_headers_are_refused(service: Service) -> None:
    dana = service.signed_in("dana")
    who = arrive(service, name="Headers")
    path = f"/fhir/Patient/{who.id}"
    for headers in (
        {"x_purpose_of_use": MARK}, {"accept": f"text/{MARK}"}, {"accept": "application/fhir+xml"},
        {"x_purpose_of_use": "HMARKT"}, {"authorization": f"Basic {MARK}"},
    ):  # fmt: skip
        refused(service.ask(dana, "GET", path, **headers))
    for tag in (
        MARK,
        'W/"-1"',
        'W/"99999999999999999999"',
        '"',
        "*",
    ):
        refused(service.ask(dana, "PUT", path, {"resourceType": "Patient", "id": who.id},
                            if_match=tag))  # fmt: skip
    for media in ("text/plain", "application/fhir+xml", MARK, ""):
        refused(service.ask(dana, "POST", "/fhir/Goal", TEXT.encode(), content_type=media))
    for tag in (MARK, 'W/"x"', ","):
        assert service.ask(dana, "GET", path, if_none_match=tag).status_code == 200
    gzip = service.ask(dana, "POST", "/sync/v1/push", b"no gzip", content_encoding="gzip")
    refused(gzip)


def test_a_bad_token_answers_401_and_says_nothing(service: Service) -> None:
    dana = service.signed_in("dana")
    head, claims, signature = dana.token.split(".")
    unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0"
    for token in (
        "x", MARK, "a.b.c", f"{head}.{claims}.", f"{unsigned}.{claims}.", "\xe9\xe8",
        f"{head}.{claims}.{signature[::-1]}", f"{head}.{claims[::-1]}.{signature}", "a" * 100_000,
        f"{head}.{claims}.{signature}x", ".".join([head] * 50),
    ):  # fmt: skip
        answer = service.web.get(
            "/fhir/Patient", headers={"authorization": f"Bearer {token}".encode("latin-1")}
        )
        if answer.status_code != 431 and len(token) < 60_000:
            assert answer.status_code == 401, token[:40]
            refused(answer)
            assert "Bearer" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("path", "media", "body"),
    [
        ("/oauth/token", "application/json", b"{}"),
        ("/oauth/token", "application/x-www-form-urlencoded", b""),
        ("/oauth/token", "application/x-www-form-urlencoded", b"grant_type=" + MARK.encode()),
        ("/oauth/token", "application/x-www-form-urlencoded", b"a=1&a=2"),
        ("/oauth/token", "application/x-www-form-urlencoded", b"\xff\x00" * 100),
        ("/oauth/token", "application/x-www-form-urlencoded", b"x" * 100_000),
        ("/oauth/revoke", "application/x-www-form-urlencoded", b"tok=" + MARK.encode()),
        ("/oauth/introspect", "application/x-www-form-urlencoded", b"token=" + MARK.encode()),
        ("/oauth/sign-in", "application/json", b"["),
        ("/oauth/sign-in", "application/json", b'{"username":1,"password":2,"totp":3}'),
        ("/oauth/sign-in", "application/json",
         b'{"username":"\\u0000","password":"\\ud800","totp":"0"}'),
        ("/oauth/sign-in", "application/json",
         b'{"username":"dana","password":"' + MARK.encode() + b'","totp":"\xd9\xa3"}'),
    ],
)  # fmt: skip
def test_a_bad_sign_in_is_refused(service: Service, path: str, media: str, body: bytes) -> None:
    refused(service.ask(None, "POST", path, body, content_type=media))
