"""A revoked token is refused at the next request; asking about tokens is for those who may."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from service.access.caller import OWN_APP
from service.identity.accounts import Secrets, Standing
from service.identity.house import House
from service.vocabulary import Action, Role
from tests.conftest import HandClock
from tests.identity.door import (
    PlainGate,
    assertion,
    open_account,
    principal_of,
    register,
    token_form,
    typed,
)
from tests.identity.test_refresh import refresh, works


@pytest.fixture
def backend(web: TestClient, house: House, ehr: str) -> str:
    answer = web.post("/oauth/token", data=token_form(assertion(house, ehr)))
    return str(answer.json()["access_token"])


@pytest.fixture
def pair(web: TestClient, peer: Secrets, clock: HandClock) -> dict[str, Any]:
    body: dict[str, Any] = web.post("/oauth/sign-in", json=typed(peer, clock)).json()
    return body


def proof(house: House, client_id: str) -> dict[str, str]:
    return token_form(assertion(house, client_id), grant_type=None, scope=None)


def test_a_system_ends_its_own_token(
    web: TestClient, house: House, ehr: str, backend: str, gate: PlainGate
) -> None:
    assert works(house, backend)
    answer = web.post("/oauth/revoke", data={"token": backend, **proof(house, ehr)})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert not works(house, backend)
    entry = gate.entries[-1]
    assert (entry.action, entry.client, entry.reason) == (Action.REVOKE, ehr, "")
    assert entry.agent == principal_of(house, ehr)


def test_nobody_else_ends_it(web: TestClient, house: House, ehr: str, backend: str) -> None:
    other = register(house)
    answer = web.post("/oauth/revoke", data={"token": backend, **proof(house, other)})
    assert answer.status_code == 200
    assert works(house, backend)
    answer = web.post("/oauth/revoke", data={"token": backend})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
    replayed = {"token": backend, **proof(house, ehr)}
    web.post("/oauth/token", data={**replayed, "grant_type": "client_credentials"})
    answer = web.post("/oauth/revoke", data=replayed)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client")
    assert works(house, backend)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_signing_out_ends_the_whole_sign_in_for_good(
    web: TestClient, house: House, pair: dict[str, Any], which: str, clock: HandClock
) -> None:
    assert web.post("/oauth/revoke", data={"token": pair[which]}).status_code == 200
    assert not works(house, pair["access_token"])
    for _ in range(3):
        assert refresh(web, pair["refresh_token"]).status_code == 400
        clock.advance(3 * 3600)
        house.tidying.due = 0
        with house.opener.write() as connection:
            house.tidying.run(connection, clock())


def test_an_unknown_token_is_200_and_no_token_is_400(web: TestClient, gate: PlainGate) -> None:
    assert web.post("/oauth/revoke", data={"token": "unknown"}).status_code == 200
    assert web.post("/oauth/revoke", data={"token": ""}).status_code == 400
    assert web.post("/oauth/revoke", data={}).status_code == 400
    assert [entry.action for entry in gate.entries] == [Action.REVOKE]


def ask(web: TestClient, token: str | None, about: str | None) -> Any:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return web.post("/oauth/introspect", data={"token": about} if about else {}, headers=headers)


def test_a_system_may_ask_about_any_clients_token(
    web: TestClient, backend: str, participant: Secrets, clock: HandClock
) -> None:
    theirs = web.post("/oauth/sign-in", json=typed(participant, clock)).json()["access_token"]
    answer = ask(web, backend, theirs)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    body = answer.json()
    assert (body["active"], body["client_id"], body["sub"]) == (
        True, OWN_APP, participant.principal,
    )  # fmt: skip
    assert body["exp"] - body["iat"] == 900
    assert body["patient"]
    assert "scope" not in body
    mine = ask(web, backend, backend).json()
    assert mine["scope"] == "system/Encounter.rs system/Patient.rs"


def test_an_ended_or_unknown_token_is_only_inactive(
    web: TestClient, backend: str, pair: dict[str, Any]
) -> None:
    web.post("/oauth/revoke", data={"token": pair["access_token"]})
    for about in (pair["access_token"], pair["refresh_token"], "unknown"):
        assert ask(web, backend, about).json() == {"active": False}


def test_others_may_not_ask(
    web: TestClient, house: House, pair: dict[str, Any], backend: str, clock: HandClock
) -> None:
    assert ask(web, pair["access_token"], backend).status_code == 403
    officer = open_account(house, "officer", Standing(Role.COMPLIANCE))
    token = web.post("/oauth/sign-in", json=typed(officer, clock)).json()["access_token"]
    assert ask(web, token, backend).json()["active"]
    assert ask(web, token, None).status_code == 400
    for nobody in (None, "unknown"):
        answer = ask(web, nobody, backend)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    clock.advance(900)
    assert ask(web, token, backend).status_code == 401
