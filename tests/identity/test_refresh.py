"""Refresh tokens: each serves once, a copy ends the sign-in, and none outlives a working day."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select
from starlette.testclient import TestClient

from service.access.caller import OWN_APP
from service.access.tables import revoked_token
from service.errors import Unauthenticated
from service.identity import accounts
from service.identity.accounts import Secrets
from service.identity.house import House
from service.identity.tables import forget_expired, refresh_token, seen_assertion
from service.vocabulary import Micros
from tests.conftest import HandClock
from tests.identity.door import PlainGate, assertion, serve, token_form, typed


@pytest.fixture
def pair(web: TestClient, peer: Secrets, clock: HandClock) -> dict[str, Any]:
    body: dict[str, Any] = web.post("/oauth/sign-in", json=typed(peer, clock)).json()
    return body


def refresh(web: TestClient, token: str, **changes: str) -> Any:
    form = {
        "grant_type": "refresh_token", "client_id": OWN_APP, "refresh_token": token, **changes,
    }  # fmt: skip
    return web.post("/oauth/token", data=form)


def error(answer: Any) -> str:
    assert answer.status_code == 400
    return str(answer.json()["error"])


def works(house: House, token: str) -> bool:
    try:
        presented = house.tokens.present(f"Bearer {token}", house.clock())
        with house.opener.read() as connection:
            house.tokens.resolve(connection, presented, house.clock())
    except Unauthenticated:
        return False
    return True


def test_a_refresh_token_buys_the_next_pair(
    web: TestClient, house: House, pair: dict[str, Any], peer: Secrets, gate: PlainGate
) -> None:
    answer = refresh(web, pair["refresh_token"])
    body = answer.json()
    assert works(house, body["access_token"])
    assert body["refresh_token"] != pair["refresh_token"]
    assert (body["scope"], body["expires_in"]) == ("role", 900)
    assert answer.headers["cache-control"] == "no-store"
    assert (gate.entries[-1].agent, gate.entries[-1].client) == (peer.principal, OWN_APP)


def test_a_refresh_token_used_twice_ends_its_whole_family(
    web: TestClient, house: House, pair: dict[str, Any], gate: PlainGate
) -> None:
    second = refresh(web, pair["refresh_token"]).json()
    assert error(refresh(web, pair["refresh_token"])) == "invalid_grant"
    assert not works(house, pair["access_token"])
    assert not works(house, second["access_token"])
    assert error(refresh(web, second["refresh_token"])) == "invalid_grant"
    assert gate.reasons[-2:] == ["reused-refresh-token", "ended-sign-in"]


def test_of_two_who_refresh_at_once_one_wins_and_then_nobody(
    house: House, pair: dict[str, Any]
) -> None:
    web, start = serve(house), Barrier(2)

    def send(_: int) -> Any:
        start.wait()
        return refresh(web, pair["refresh_token"])

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(send, range(2)), key=lambda answer: answer.status_code)
    assert [answer.status_code for answer in answers] == [200, 400]
    assert not works(house, answers[0].json()["access_token"])


def test_another_sign_in_of_the_same_person_goes_on(
    web: TestClient, house: House, pair: dict[str, Any], peer: Secrets, clock: HandClock
) -> None:
    clock.advance(30)
    other = web.post("/oauth/sign-in", json=typed(peer, clock)).json()
    refresh(web, pair["refresh_token"])
    refresh(web, pair["refresh_token"])
    assert works(house, other["access_token"])
    assert refresh(web, other["refresh_token"]).is_success


def test_the_scope_cannot_grow_and_asking_does_not_use_the_token_up(
    web: TestClient, pair: dict[str, Any]
) -> None:
    assert error(refresh(web, pair["refresh_token"], scope="system/*.cruds")) == "invalid_scope"
    assert refresh(web, pair["refresh_token"], scope="role").is_success


def test_only_our_own_app_may_refresh(
    web: TestClient, house: House, pair: dict[str, Any], ehr: str
) -> None:
    token = pair["refresh_token"]
    assert error(refresh(web, token, client_id=ehr)) == "invalid_client"
    form = token_form(
        assertion(house, ehr), grant_type="refresh_token", refresh_token=token, scope=None
    )
    assert error(web.post("/oauth/token", data=form)) == "invalid_client"
    assert refresh(web, token).is_success


def test_what_is_no_refresh_token_is_refused(
    web: TestClient, pair: dict[str, Any], gate: PlainGate
) -> None:
    assert error(refresh(web, pair["access_token"])) == "invalid_grant"
    assert error(refresh(web, "\x00é")) == "invalid_grant"
    assert gate.reasons[-2:] == ["unknown-refresh-token"] * 2
    form = {"grant_type": "refresh_token", "client_id": OWN_APP}
    assert error(web.post("/oauth/token", data=form)) == "invalid_request"


def test_a_sign_in_ends_after_twelve_hours_however_often_refreshed(
    web: TestClient, pair: dict[str, Any], clock: HandClock
) -> None:
    body = pair
    for _ in range(12):
        clock.advance(3595)
        body = refresh(web, body["refresh_token"]).json()
    assert body["expires_in"] == 60
    clock.advance(60)
    assert error(refresh(web, body["refresh_token"])) == "invalid_grant"


def test_a_deactivated_account_cannot_refresh(
    web: TestClient, house: House, pair: dict[str, Any], peer: Secrets, clock: HandClock
) -> None:
    with house.opener.write() as connection:
        accounts.deactivate(connection, peer.principal, clock())
    assert not works(house, pair["access_token"])
    assert error(refresh(web, pair["refresh_token"])) == "invalid_grant"


def test_expired_rows_are_forgotten(
    web: TestClient, house: House, pair: dict[str, Any], clock: HandClock, ehr: str
) -> None:
    refresh(web, pair["refresh_token"])
    refresh(web, pair["refresh_token"])
    web.post("/oauth/token", data=token_form(assertion(house, ehr)))
    tables = (seen_assertion, refresh_token, revoked_token)
    for hours, left in ((0, [1, 2, 1]), (12, [0, 2, 1]), (14, [0, 0, 0])):
        with house.opener.write() as connection:
            forget_expired(connection, Micros(clock() + hours * 3_600_000_000))
            assert [
                connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in tables
            ] == left
