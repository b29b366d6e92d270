"""Backend services: a system proves itself by a signed assertion, and gets five minutes."""

import base64
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwk
from starlette.testclient import TestClient

from service.identity import accounts
from service.identity.house import House
from service.vocabulary import Action, Role
from tests.conftest import HandClock
from tests.identity.door import (
    BASE,
    EC,
    RSA,
    PlainGate,
    assertion,
    claims_for,
    principal_of,
    register,
    serve,
    token_form,
)


def ask(web: TestClient, signed: str, **changes: str | None) -> Any:
    return web.post("/oauth/token", data=token_form(signed, **changes))


def refused(answer: Any, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS384"), (EC, "ES384")])
def test_a_signed_assertion_buys_five_minutes_and_no_refresh_token(
    web: TestClient, ehr: str, gate: PlainGate, key: Any, alg: str, house: House
) -> None:
    answer = ask(web, assertion(house, ehr, key, alg))
    assert answer.status_code == 200
    body = answer.json()
    assert body.pop("access_token")
    assert body == {
        "token_type": "bearer", "expires_in": 300,
        "scope": "system/Encounter.rs system/Patient.rs",
    }  # fmt: skip
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    entry = gate.entries[-1]
    assert (entry.action, entry.client, entry.reason) == (Action.TOKEN, ehr, "")
    assert entry.agent == principal_of(house, ehr)


def test_the_token_lets_the_client_in_with_its_scopes(
    web: TestClient, house: House, ehr: str
) -> None:
    token = ask(web, assertion(house, ehr), scope="system/Patient.read").json()["access_token"]
    presented = house.tokens.present(f"Bearer {token}", house.clock())
    with house.opener.read() as connection:
        caller = house.tokens.resolve(connection, presented, house.clock())
    assert (caller.role, caller.client) == (Role.EHR, ehr)
    assert caller.scopes == ("system/Patient.read",)


def test_an_assertion_signed_without_our_libraries_is_understood(
    web: TestClient, house: House
) -> None:
    private = rsa.generate_private_key(65537, 3072)
    numbers = private.public_key().public_numbers()

    def b64(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    key = {
        "kty": "RSA", "kid": "theirs", "alg": "RS384", "use": "sig", "key_ops": ["verify"],
        "n": b64(numbers.n.to_bytes(384, "big")), "e": "AQAB",
    }  # fmt: skip
    client_id = register(house, jwks={"keys": [{"kty": "OKP2"}, key]})
    parts = [{"alg": "RS384", "kid": "theirs"}, claims_for(house, client_id)]
    signing_input = ".".join(b64(json.dumps(part).encode()) for part in parts)
    signature = private.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA384())
    assert ask(web, f"{signing_input}.{b64(signature)}").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": f"{BASE}/fhir"},
        {"aud": None},
        {"aud": [f"{BASE}/oauth/token", "https://other.example.org/token"]},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": float("nan")},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"iss": None},
        {"iss": "someone"},
        {"sub": None},
        {"sub": ["a"]},
        {"sub": "\x00"},
        {"sub": "someone"},
    ],
)
def test_an_assertion_with_a_wrong_or_missing_claim_is_refused(
    web: TestClient, house: House, ehr: str, changes: dict[str, Any], gate: PlainGate
) -> None:
    refused(ask(web, assertion(house, ehr, **changes)), "invalid_client")
    assert all(gate.reasons)


@pytest.mark.parametrize(
    ("claim", "seconds", "status"),
    [
        ("exp", -61, 400), ("exp", -59, 200), ("exp", 360, 200), ("exp", 361, 400),
        ("iat", 59, 200), ("iat", 61, 400), ("nbf", 61, 400), ("iat", -9999, 200),
    ],
)  # fmt: skip
def test_an_assertion_lives_five_minutes_with_a_minute_of_skew(
    web: TestClient, house: House, ehr: str, claim: str, seconds: int, status: int
) -> None:
    when = house.clock() // 1_000_000 + seconds
    assert ask(web, assertion(house, ehr, **{claim: when})).status_code == status


def test_an_audience_that_is_a_list_of_us_alone_is_taken(
    web: TestClient, house: House, ehr: str
) -> None:
    signed = assertion(house, ehr, aud=[f"{BASE}/oauth/token"])
    assert ask(web, signed).status_code == 200


def test_a_symmetric_signature_made_with_the_public_key_is_refused(
    web: TestClient, house: House, ehr: str
) -> None:
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"rsa"}').decode().rstrip("=")
    signing_input = f"{header}.{assertion(house, ehr).split('.')[1]}"
    for secret in (RSA.as_pem(private=False), json.dumps(RSA.as_dict(private=False)).encode()):
        mac = hmac.digest(secret, signing_input.encode(), "sha256")
        signature = base64.urlsafe_b64encode(mac).decode().rstrip("=")
        refused(ask(web, f"{signing_input}.{signature}"), "invalid_client")


def test_an_unsigned_assertion_is_refused(web: TestClient, house: House, ehr: str) -> None:
    header, claims, _ = assertion(house, ehr).split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","kid":"rsa"}').decode().rstrip("=")
    for signed in (f"{none}.{claims}.", f"{header}.{claims}.", f"{header}.{claims}.AAAA"):
        refused(ask(web, signed), "invalid_client")


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "RS512"), (RSA, "PS384")])
def test_other_algorithms_are_refused_though_the_key_is_right(
    web: TestClient, house: House, ehr: str, key: Any, alg: str
) -> None:
    refused(ask(web, assertion(house, ehr, key, alg)), "invalid_client")


def test_a_key_of_someone_else_or_without_name_is_refused(
    web: TestClient, house: House, ehr: str
) -> None:
    stranger = jwk.RSAKey.generate_key(2048, parameters={"kid": "rsa"})
    refused(ask(web, assertion(house, ehr, stranger)), "invalid_client")
    refused(ask(web, assertion(house, ehr, header={"kid": None})), "invalid_client")
    refused(ask(web, assertion(house, ehr, header={"kid": "other"})), "invalid_client")


def test_a_jku_that_was_not_registered_is_refused(web: TestClient, house: House, ehr: str) -> None:
    signed = assertion(house, ehr, header={"jku": "https://evil.example.org/jwks"})
    refused(ask(web, signed), "invalid_client")


def test_the_client_id_beside_an_assertion_must_be_its_own(
    web: TestClient, house: House, ehr: str
) -> None:
    refused(ask(web, assertion(house, ehr), client_id=register(house)), "invalid_client")
    assert ask(web, assertion(house, ehr), client_id=ehr).status_code == 200


def test_a_replayed_assertion_is_refused_even_after_a_refusal(
    web: TestClient, house: House, ehr: str, gate: PlainGate
) -> None:
    signed = assertion(house, ehr)
    refused(ask(web, signed, scope="system/Consent.rs"), "invalid_scope")
    refused(ask(web, signed), "invalid_client")
    assert gate.reasons == ["invalid_scope", "replayed-assertion"]


def test_two_clients_may_use_the_same_jti(web: TestClient, house: House, ehr: str) -> None:
    for client_id in (ehr, register(house)):
        assert ask(web, assertion(house, client_id, jti="same")).status_code == 200


def test_of_many_who_send_one_assertion_at_once_exactly_one_wins(house: House, ehr: str) -> None:
    signed, start = assertion(house, ehr), Barrier(4)
    web = serve(house)

    def send(_: int) -> int:
        start.wait()
        return int(ask(web, signed).status_code)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(send, range(4))) == [200, 400, 400, 400]


def test_a_forgotten_assertion_has_expired_long_before(
    web: TestClient, house: House, ehr: str, clock: HandClock
) -> None:
    signed = assertion(house, ehr)
    assert ask(web, signed).status_code == 200
    for _ in range(4):
        clock.advance(200)
        assert ask(web, assertion(house, ehr)).status_code == 200  # tidies up now and then
        refused(ask(web, signed), "invalid_client")


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("system/Encounter.rs system/Observation.rs", "system/Encounter.rs"),
        ("system/Encounter.cruds", "system/Encounter.rs"),
        ("system/*.read", "system/Encounter.rs system/Patient.rs"),
        ("system/Encounter.read", "system/Encounter.read"),
        ("nonsense system/Patient.s", "system/Patient.s"),
    ],
)
def test_what_is_granted_was_asked_and_registered(
    web: TestClient, house: House, ehr: str, asked: str, granted: str
) -> None:
    assert ask(web, assertion(house, ehr), scope=asked).json()["scope"] == granted


@pytest.mark.parametrize(
    "asked",
    [None, "", "system/Consent.rs", "user/Patient.rs", "patient/Patient.rs", "role", "\x00"],
)
def test_a_scope_nobody_registered_is_refused(
    web: TestClient, house: House, ehr: str, asked: str | None
) -> None:
    refused(ask(web, assertion(house, ehr), scope=asked), "invalid_scope")


def test_a_wrong_grant_type_is_refused_before_authentication(
    web: TestClient, house: House, ehr: str, gate: PlainGate
) -> None:
    for grant in ("password", "authorization_code", 'a"b', None):
        refused(ask(web, assertion(house, ehr), grant_type=grant), "unsupported_grant_type")
    assert gate.entries == []


def test_a_wrong_assertion_type_is_refused(web: TestClient, house: House, ehr: str) -> None:
    refused(ask(web, assertion(house, ehr), client_assertion_type="jwt"), "invalid_client")
    refused(ask(web, assertion(house, ehr), client_assertion_type=None), "invalid_client")


def test_a_client_cannot_come_without_assertion(web: TestClient, ehr: str) -> None:
    form = {"grant_type": "client_credentials", "client_id": ehr, "scope": "system/*.rs"}
    refused(web.post("/oauth/token", data=form), "invalid_client")
    refused(web.post("/oauth/token", data=form, auth=(ehr, "secret")), "invalid_client")
    ours = {**form, "client_id": "peernotes-app"}
    refused(web.post("/oauth/token", data=ours), "invalid_client")


def test_a_repeated_field_another_media_type_and_a_flood_are_refused(
    web: TestClient, house: House, ehr: str
) -> None:
    form = token_form(assertion(house, ehr))
    for body in (
        {"data": {**form, "scope": ["system/Patient.rs", "system/Patient.rs"]}},
        {"json": form},
        {"files": {name: (None, value) for name, value in form.items()}},
        {"content": b"a" * 20_000, "headers": {"content-type": FORM}},
        {"content": "grant_type=\xff".encode("latin-1"), "headers": {"content-type": FORM}},
        {"content": "&".join(f"a{n}=1" for n in range(50)), "headers": {"content-type": FORM}},
    ):
        refused(web.post("/oauth/token", **body), "invalid_request")
    assert ask(web, form["client_assertion"]).status_code == 200


FORM = "application/x-www-form-urlencoded"


def test_a_deactivated_client_gets_nothing(web: TestClient, house: House, ehr: str) -> None:
    with house.opener.write() as connection:
        accounts.deactivate(connection, principal_of(house, ehr), house.clock())
    refused(ask(web, assertion(house, ehr)), "invalid_client")


def test_replaced_keys_no_longer_prove_anything(web: TestClient, house: House, ehr: str) -> None:
    assert ask(web, assertion(house, ehr)).status_code == 200
    with house.opener.write() as connection:
        accounts.replace_keys(
            connection, house.keyring, ehr, jwks={"keys": [EC.as_dict(private=False)]}
        )
    refused(ask(web, assertion(house, ehr)), "invalid_client")
    assert ask(web, assertion(house, ehr, EC, "ES384")).status_code == 200


def test_nothing_is_issued_when_the_ledger_is_down(
    web: TestClient, house: House, ehr: str, gate: PlainGate
) -> None:
    gate.down = True
    signed = assertion(house, ehr)
    answer = ask(web, signed)
    assert answer.status_code == 503
    assert answer.json()["error"] == "temporarily_unavailable"
    gate.down = False
    assert ask(web, signed).status_code == 200  # rolled back with the rest: it may try again


def nested(depth: int) -> str:
    deep = b'{"alg":"RS384","kid":' + b"[" * depth + b"]" * depth + b"}"
    return base64.urlsafe_b64encode(deep).decode().rstrip("=")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    junk=st.one_of(
        st.text(max_size=200),
        st.lists(st.binary(max_size=40), min_size=3, max_size=3).map(
            lambda parts: ".".join(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in parts)
        ),
        st.just(f"{nested(2000)}.{nested(2000)}.AAAA"),
        st.just("a" * 9000),
    )
)
def test_no_bytes_make_the_token_endpoint_stumble(junk: str, web: TestClient, house: House) -> None:
    answer = ask(web, junk.encode("utf-8", "replace").decode())
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client"
    with pytest.raises(Exception, match="token"):
        house.tokens.present(f"Bearer {junk}", house.clock())
