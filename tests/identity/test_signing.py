"""Token-signing keys: one for all processes, published as a JWKS, rotated without a gap."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from joserfc import jwk, jwt
from sqlalchemy import func, select, update
from starlette.testclient import TestClient

from service.access.tables import token_key
from service.access.token_keys import TokenKeys
from service.errors import SealBroken, Unavailable
from service.identity import signing
from service.identity.house import House
from service.identity.passwords import Passwords
from service.identity.routes import smart_configuration
from service.keys.keyring import Keyring
from tests.conftest import HandClock
from tests.identity.door import (
    BASE,
    PlainGate,
    a_house,
    assertion,
    serve,
    token_form,
)
from tests.identity.test_refresh import works


def token(house: House, client_id: str) -> str:
    answer = serve(house).post("/oauth/token", data=token_form(assertion(house, client_id)))
    return str(answer.json()["access_token"])


def test_anybody_can_verify_a_token_with_the_published_keys(
    web: TestClient, house: House, ehr: str
) -> None:
    answer = web.get("/oauth/jwks")
    published = answer.json()
    assert all("d" not in key for key in published["keys"])
    assert answer.headers["content-type"] == "application/json"
    keys = jwk.KeySet.import_key_set(published)
    found = jwt.decode(token(house, ehr), keys, algorithms=["ES256"])
    assert (found.claims["iss"], found.claims["client_id"]) == (BASE, ehr)
    assert found.header["typ"] == "at+jwt"


def test_processes_starting_together_make_one_key(
    gate: PlainGate, keyring: Keyring, passwords: Passwords
) -> None:
    with ThreadPoolExecutor(4) as pool:
        houses = list(pool.map(lambda _: a_house(gate, keyring, passwords), range(4)))
    with gate.opener.read() as connection:
        count = connection.execute(select(func.count()).select_from(token_key)).scalar_one()
    assert count == 1
    assert len({house.token_keys.signing(gate.clock()).kid for house in houses}) == 1


def test_rotation_is_announced_before_it_signs_and_nothing_is_refused_meanwhile(
    house: House,
    ehr: str,
    keyring: Keyring,
    passwords: Passwords,
    gate: PlainGate,
    clock: HandClock,
) -> None:
    other = a_house(gate, keyring, passwords)
    old = house.token_keys.signing(clock()).kid
    clock.advance(60)
    with house.opener.write() as connection:
        signing.rotate(connection, keyring, clock())
    kids = set()
    for _ in range(40):
        clock.advance(60)
        here, there = token(house, ehr), token(other, ehr)
        kids |= {house.token_keys.signing(clock()).kid}
        assert works(other, here)
        assert works(house, there)
    assert len(kids) == 2
    assert house.token_keys.find(old) is None


def test_a_leaked_key_is_refused_at_once_whatever_a_process_remembers(
    house: House, ehr: str, keyring: Keyring, clock: HandClock
) -> None:
    stolen = token(house, ehr)
    assert works(house, stolen)
    with house.opener.write() as connection:
        signing.rotate(connection, keyring, clock(), announce=0)
    assert not works(house, stolen)
    clock.advance(60)
    assert works(house, token(house, ehr))


def test_a_key_row_of_somebody_else_verifies_nothing(house: House, clock: HandClock) -> None:
    with house.opener.write() as connection:
        signing.rotate(connection, house.keyring, clock())
        mine = select(token_key.c.sealed).where(token_key.c.number == 1).scalar_subquery()
        connection.execute(update(token_key).where(token_key.c.number == 2).values(sealed=mine))
    with house.opener.read() as connection, pytest.raises(SealBroken):
        TokenKeys(house.keyring).load(connection, clock())


@pytest.mark.parametrize(
    ("base_url", "production"),
    [
        ("http://notes.example.org", True), ("http://localhost:8000", True),
        ("http://notes.example.org", False), ("http://localhost.example.org", False),
        ("ftp://localhost", False), ("https://", True), ("https://notes.example.org/", True),
        ("https://notes.example.org?a", True), ("notes.example.org", True), ("", False),
    ],
)  # fmt: skip
def test_tokens_are_not_handed_out_over_plain_http(
    gate: PlainGate, keyring: Keyring, passwords: Passwords, base_url: str, production: Any
) -> None:
    with pytest.raises(Unavailable):
        a_house(gate, keyring, passwords, base_url=base_url, production=production)


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8000", "http://localhost:8000"])
def test_a_demonstration_on_this_machine_may_use_http(
    gate: PlainGate, keyring: Keyring, passwords: Passwords, base_url: str
) -> None:
    house = a_house(gate, keyring, passwords, base_url=base_url, production=False)
    answer = serve(house).post("/oauth/token", data={"grant_type": "client_credentials"})
    assert answer.json()["error"] == "invalid_client"


def test_the_smart_configuration_claims_only_what_works(web: TestClient) -> None:
    found = smart_configuration(BASE)
    assert found["grant_types_supported"] == ["client_credentials"]
    assert "authorization_endpoint" not in found
    assert not [word for word in found["capabilities"] if "launch" in word or "sso" in word]
    for name in ("token_endpoint", "introspection_endpoint", "revocation_endpoint"):
        assert found[name].startswith("https://")
        assert web.post(found[name]).status_code != 404
    for scope in found["scopes_supported"]:
        assert scope.startswith("system/")
