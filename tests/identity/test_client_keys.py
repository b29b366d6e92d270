"""A client's public keys: what is taken, what is left out, and how a key set by URL is kept."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from joserfc import jwk

from service.errors import Absent, Invalid, Unavailable
from service.identity import accounts
from service.identity.accounts import Standing
from service.identity.client_keys import LARGEST, RemoteKeys, fetch_https, usable
from service.identity.house import House
from service.identity.passwords import Passwords
from service.keys.keyring import Keyring
from service.vocabulary import Relation, Role
from tests.conftest import HandClock
from tests.identity.door import (
    EC,
    JWKS,
    RSA,
    PlainGate,
    a_house,
    assertion,
    register,
    serve,
    token_form,
)

URL = "https://ehr.example.org/jwks.json"


def test_keys_we_cannot_use_are_left_out() -> None:
    rsa, ec = RSA.as_dict(private=False), EC.as_dict(private=False)
    p256 = jwk.ECKey.generate_key("P-256", parameters={"kid": "p"}).as_dict(private=False)
    odd: list[Any] = [
        {"kty": "AKP", "kid": "pq"}, {"kty": "RSA", "kid": "x"}, 7, {}, {**rsa, "use": "enc"},
        {**rsa, "alg": "RS256"}, {**ec, "alg": "ES256"}, {**rsa, "kid": None}, p256,
        {**ec, "y": "AAAA"}, {**rsa, "n": "AQAB"},
    ]  # fmt: skip
    assert [key.kid for key in usable({"keys": [*odd, rsa, *odd, ec]})] == ["rsa", "ec"]
    for jwks in ({"keys": odd}, {"keys": []}, {"keys": [rsa] * 40}, {}, [], None):
        with pytest.raises(Invalid):
            usable(jwks)


def test_private_symmetric_and_short_keys_are_never_taken() -> None:
    short = {**RSA.as_dict(private=False), "n": "w" * 170}
    for key in (
        RSA.as_dict(private=True),
        EC.as_dict(private=True),
        jwk.OctKey.generate_key(256, parameters={"kid": "o"}).as_dict(private=True),
        short,
    ):
        with pytest.raises(Invalid):
            usable({"keys": [key]})


class Web:
    """A fake of the client's web server."""

    def __init__(self, *keys: Any, caching: str = "") -> None:
        self.keys = list(keys)
        self.caching = caching
        self.asked = 0

    def __call__(self, url: str) -> tuple[bytes, str]:
        assert url == URL
        self.asked += 1
        body = {"keys": [key.as_dict(private=False) for key in self.keys]}
        return json.dumps(body).encode(), self.caching


def test_a_client_may_keep_its_keys_at_its_own_address(
    gate: PlainGate, keyring: Keyring, passwords: Passwords, clock: HandClock
) -> None:
    theirs = Web(RSA)
    house = a_house(gate, keyring, passwords, fetch=theirs)
    client_id = register(house, jwks=None, jwks_uri=URL)
    web = serve(house)

    def status(key: Any, alg: str, **header: str) -> int:
        signed = assertion(house, client_id, key, alg, header=header)
        return int(web.post("/oauth/token", data=token_form(signed)).status_code)

    assert status(RSA, "RS384") == 200
    assert status(RSA, "RS384", jku=URL) == 200
    assert status(RSA, "RS384", jku=URL + "?") == 400
    assert theirs.asked == 1
    theirs.keys = [EC]
    assert status(EC, "ES384") == 400  # asked too soon after the last fetch
    clock.advance(30)
    assert status(EC, "ES384") == 200
    assert status(RSA, "RS384") == 400
    assert theirs.asked == 2


@pytest.mark.parametrize(
    ("caching", "seconds"),
    [("", 300), ("max-age=600", 600), ("public, max-age=1", 30), ("max-age=999999", 3600),
     ("no-store", 30), ("no-cache, max-age=600", 30), ("max-age=x", 300)],
)  # fmt: skip
def test_a_key_set_is_kept_as_its_owner_says_within_bounds(
    clock: HandClock, caching: str, seconds: int
) -> None:
    theirs = Web(RSA, caching=caching)
    remote = RemoteKeys(theirs)
    for wait, asked in ((0, 1), (seconds - 1, 1), (1, 2)):
        clock.advance(wait)
        remote.of(URL, "rsa", clock())
        assert theirs.asked == asked


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"keys":[]}', b"\xff"])
def test_an_address_without_keys_authenticates_nobody(
    gate: PlainGate, keyring: Keyring, passwords: Passwords, body: bytes
) -> None:
    house = a_house(gate, keyring, passwords, fetch=lambda _: (body, ""))
    client_id = register(house, jwks=None, jwks_uri=URL)
    answer = serve(house).post("/oauth/token", data=token_form(assertion(house, client_id)))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
    assert gate.reasons == ["no-client-keys"]


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/moved": 302, "/absent": 404}.get(self.path, 200)
        self.send_response(status)
        self.send_header("location", "/jwks")
        self.send_header("cache-control", "max-age=77")
        self.end_headers()
        self.wfile.write(b"x" * (LARGEST + 1) if self.path == "/large" else b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetching_follows_nothing_and_stops_at_a_limit(server: str) -> None:
    assert fetch_https(f"{server}/jwks") == (b"{}", "max-age=77")
    for path in ("/moved", "/absent", "/large"):
        with pytest.raises(Unavailable):
            fetch_https(server + path)
    with pytest.raises(Unavailable):
        fetch_https("http://127.0.0.1:1/")


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": ""}, {"scope": "system/*"}, {"scope": "role"}, {"scope": "patient/*.rs"},
        {"jwks": None}, {"jwks_uri": URL}, {"jwks": None, "jwks_uri": "http://ehr.example.org/"},
        {"jwks": {"keys": [RSA.as_dict(private=True)]}},
        {"standing": Standing(Role.PEER)},
        {"standing": Standing(Role.EHR, Relation.OUTSIDE)},
    ],
)  # fmt: skip
def test_a_client_is_registered_whole_or_not_at_all(house: House, wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        register(house, **wrong)


def test_keys_cannot_be_given_to_a_client_that_is_not_there(house: House) -> None:
    with house.opener.write() as connection, pytest.raises(Absent):
        accounts.replace_keys(
            connection, house.keyring, "00000000-0000-4000-8000-000000000009", jwks=JWKS
        )
