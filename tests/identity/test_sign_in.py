"""Staff and participants sign in; every failure looks and lasts the same."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update
from starlette.testclient import TestClient

from service.access.caller import OWN_APP
from service.errors import Absent, Conflict, Invalid, SealBroken
from service.identity import accounts, passwords
from service.identity.accounts import Secrets, Standing
from service.identity.house import House
from service.identity.passwords import Passwords
from service.identity.sign_in import Credentials, answer_sign_in
from service.identity.tables import account
from service.vocabulary import Action, PatientId, ResourceId, Role
from tests.conftest import HandClock
from tests.identity.door import PlainGate, code, open_account, serve, typed

SOMEONE = ResourceId("00000000-0000-4000-8000-000000000001")


def sign_in(web: TestClient, secrets: Secrets, clock: HandClock, **changes: str) -> Any:
    return web.post("/oauth/sign-in", json=typed(secrets, clock, **changes))


def refused(answer: Any) -> None:
    assert answer.status_code == 400
    assert answer.json() == {
        "error": "invalid_grant",
        "error_description": "The grant is not valid, or no longer.",
    }
    assert answer.headers["cache-control"] == "no-store"


def test_a_peer_signs_in_for_fifteen_minutes_and_can_refresh(
    web: TestClient, house: House, peer: Secrets, gate: PlainGate, clock: HandClock
) -> None:
    answer = sign_in(web, peer, clock)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("bearer", 900, "role")
    assert body["refresh_token"]
    assert answer.headers["cache-control"] == "no-store"
    presented = house.tokens.present(f"Bearer {body['access_token']}", clock())
    with house.opener.read() as connection:
        caller = house.tokens.resolve(connection, presented, clock())
    assert (caller.principal, caller.role, caller.scopes) == (peer.principal, Role.PEER, None)
    entry = gate.entries[-1]
    assert (entry.action, entry.agent, entry.client, entry.reason) == (
        Action.SIGN_IN, peer.principal, OWN_APP, "",
    )  # fmt: skip


def test_a_participant_signs_in_to_their_own_record(
    web: TestClient, house: House, participant: Secrets, clock: HandClock
) -> None:
    token = sign_in(web, participant, clock).json()["access_token"]
    presented = house.tokens.present(f"Bearer {token}", clock())
    with house.opener.read() as connection:
        caller = house.tokens.resolve(connection, presented, clock())
    assert caller.role is Role.PARTICIPANT
    assert caller.patient is not None


def test_case_width_and_space_of_the_username_do_not_matter(
    web: TestClient, peer: Secrets, clock: HandClock
) -> None:
    changed = "  ana.ruiz@EXAMPLE.org "
    assert sign_in(web, peer, clock, username=changed).status_code == 200


def test_every_failure_has_the_same_answer(
    web: TestClient, house: House, peer: Secrets, gate: PlainGate, clock: HandClock
) -> None:
    refused(sign_in(web, peer, clock, username="nobody"))
    refused(sign_in(web, peer, clock, password="wrong"))
    refused(sign_in(web, peer, clock, totp="000000"))
    refused(sign_in(web, peer, clock, totp=""))
    refused(sign_in(web, peer, clock, totp="\uff11\uff12\uff13\uff14\uff15\uff16", password="\x00"))
    with house.opener.write() as connection:
        accounts.deactivate(connection, peer.principal, clock())
    refused(sign_in(web, peer, clock))
    assert gate.reasons == [
        "unknown-login", "wrong-password", "wrong-code", "wrong-code", "wrong-password", "inactive",
    ]  # fmt: skip


def test_an_unknown_user_costs_a_whole_password_check(house: House, peer: Secrets) -> None:
    checked: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: Any, password: Any) -> Any:
            checked.append(hash)
            return super().verify(hash, password)

    house.passwords._hasher = Counting(time_cost=1, memory_cost=64, parallelism=1)
    for username in (peer.username, "nobody"):
        answer_sign_in(house, Credentials(username, "wrong", "000000"))
    assert [text.split("$")[:4] for text in checked[:1]] == [
        text.split("$")[:4] for text in checked[1:]
    ]


def test_a_one_time_code_serves_once(
    web: TestClient, peer: Secrets, gate: PlainGate, clock: HandClock
) -> None:
    assert sign_in(web, peer, clock).status_code == 200
    refused(sign_in(web, peer, clock))
    assert gate.reasons[-1] == "spent-code"
    clock.advance(30)
    assert sign_in(web, peer, clock).status_code == 200


def test_an_older_code_than_the_last_used_is_refused(
    web: TestClient, peer: Secrets, clock: HandClock
) -> None:
    old = code(peer, clock)
    clock.advance(30)
    assert sign_in(web, peer, clock).status_code == 200
    refused(sign_in(web, peer, clock, totp=old))


def test_of_two_who_send_one_code_at_once_exactly_one_wins(
    house: House, peer: Secrets, clock: HandClock
) -> None:
    start = threading.Barrier(2)
    body = Credentials(peer.username, peer.password, code(peer, clock))

    def send(_: int) -> int:
        start.wait()
        return answer_sign_in(house, body).status

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(send, range(2))) == [200, 400]


def test_five_failures_make_an_account_rest_and_nobody_can_tell(
    web: TestClient, peer: Secrets, gate: PlainGate, clock: HandClock
) -> None:
    for _ in range(5):
        refused(sign_in(web, peer, clock, password="wrong"))
    refused(sign_in(web, peer, clock))
    assert gate.reasons[-1] == "locked"
    clock.advance(29)
    refused(sign_in(web, peer, clock))
    clock.advance(1)
    refused(sign_in(web, peer, clock, password="wrong"))  # the sixth: a minute
    clock.advance(59)
    refused(sign_in(web, peer, clock))
    clock.advance(1)
    assert sign_in(web, peer, clock).status_code == 200
    clock.advance(30)
    refused(sign_in(web, peer, clock, password="wrong"))  # and the count began anew
    assert sign_in(web, peer, clock).status_code == 200


def test_knocking_on_a_resting_account_does_not_prolong_its_rest(
    web: TestClient, peer: Secrets, house: House, clock: HandClock
) -> None:
    for _ in range(20):
        sign_in(web, peer, clock, password="wrong")
    with house.opener.read() as connection:
        row = connection.execute(select(account)).one()
    assert (row.failures, row.locked_until) == (5, clock() + 30_000_000)


def test_a_rest_never_exceeds_a_quarter_of_an_hour(
    web: TestClient, peer: Secrets, house: House, clock: HandClock
) -> None:
    with house.opener.write() as connection:
        connection.execute(update(account).values(failures=5000))
    refused(sign_in(web, peer, clock, password="wrong"))
    clock.advance(900)
    assert sign_in(web, peer, clock).status_code == 200


def test_a_reset_while_somebody_signs_in_wins(
    house: House, peer: Secrets, clock: HandClock, gate: PlainGate
) -> None:
    check = house.passwords.check

    def slow(known: str | None, password: str) -> bool:
        right = check(known, password)
        with house.opener.write() as connection:
            accounts.reset(
                connection, house.keyring, house.passwords, clock(), username=peer.username
            )
        return right

    house.passwords.check = slow  # type: ignore[method-assign]
    body = Credentials(peer.username, peer.password, code(peer, clock))
    assert answer_sign_in(house, body).status == 400
    assert gate.reasons == ["spent-code"]


def test_a_reset_ends_every_sign_in_and_the_old_password(
    web: TestClient, house: House, peer: Secrets, clock: HandClock
) -> None:
    body = sign_in(web, peer, clock).json()
    with house.opener.write() as connection:
        told = accounts.reset(
            connection, house.keyring, house.passwords, clock(), username=peer.username
        )
    assert not answer_to_refresh(web, body["refresh_token"]).is_success
    presented = house.tokens.present(f"Bearer {body['access_token']}", clock())
    with house.opener.read() as connection, pytest.raises(Exception, match="no longer"):
        house.tokens.resolve(connection, presented, clock())
    clock.advance(30)
    refused(sign_in(web, peer, clock))
    assert sign_in(web, told, clock).status_code == 200


def answer_to_refresh(web: TestClient, token: str) -> Any:
    form = {"grant_type": "refresh_token", "client_id": OWN_APP, "refresh_token": token}
    return web.post("/oauth/token", data=form)


def test_what_is_not_three_strings_is_refused(web: TestClient) -> None:
    good = {"username": "a", "password": "b", "totp": "1"}
    for body in (
        {"json": {**good, "totp": 1}},
        {"json": {**good, "more": ""}},
        {"json": {"username": "a"}},
        {"json": [1]},
        {"data": good},
        {"content": b'{"username":"\\ud800","password":"b","totp":"1"}',
         "headers": {"content-type": "application/json"}},
        {"content": b"[" * 9000, "headers": {"content-type": "application/json"}},
        {"content": b"\xff", "headers": {"content-type": "application/json"}},
    ):  # fmt: skip
        answer = web.post("/oauth/sign-in", **body)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_nobody_signs_in_while_the_ledger_is_down(
    web: TestClient, peer: Secrets, gate: PlainGate, clock: HandClock
) -> None:
    gate.down = True
    assert sign_in(web, peer, clock).status_code == 503
    gate.down = False
    assert sign_in(web, peer, clock).status_code == 200  # the code was not used up


def test_two_password_checks_run_at_once_and_no_more() -> None:
    at_once: list[int] = []
    running = 0
    lock = threading.Lock()

    class Watched(PasswordHasher):
        def verify(self, hash: Any, password: Any) -> Any:
            nonlocal running
            with lock:
                running += 1
                at_once.append(running)
            try:
                return super().verify(hash, password)
            finally:
                with lock:
                    running -= 1

    watched = Passwords(Watched(time_cost=2, memory_cost=8192, parallelism=1))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: watched.check(None, str(n)), range(8)))
    assert max(at_once) <= passwords.AT_ONCE


def test_too_many_waiting_are_told_to_come_back(
    house: House, peer: Secrets, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.identity.routes.QUEUE", 0)
    answer = sign_in(serve(house), peer, clock)
    assert (answer.status_code, answer.json()["error"]) == (429, "slow_down")


def test_accounts_are_opened_only_for_who_they_can_serve(house: House, peer: Secrets) -> None:
    for standing in (
        Standing(Role.EHR),
        Standing(Role.PEER),
        Standing(Role.PARTICIPANT),
        Standing(Role.ADMINISTRATOR, patient=PatientId(SOMEONE)),
    ):
        with pytest.raises(Invalid):
            open_account(house, "new", standing)
    with pytest.raises(Invalid):
        open_account(house, " ", Standing(Role.ADMINISTRATOR))
    with pytest.raises(Conflict):
        open_account(house, peer.username.upper(), Standing(Role.PEER, practitioner=SOMEONE))
    with house.opener.write() as connection:
        for wrong in ("short", "x" * 11):
            with pytest.raises(Invalid):
                accounts.create_person(
                    connection, house.keyring, house.passwords, house.clock(), password=wrong,
                    username="new", standing=Standing(Role.COMPLIANCE),
                )  # fmt: skip
        with pytest.raises(Absent):
            accounts.reset(
                connection, house.keyring, house.passwords, house.clock(), username="nobody"
            )
        with pytest.raises(Absent):
            accounts.deactivate(connection, SOMEONE, house.clock())


def test_neither_username_nor_password_hash_nor_code_secret_lies_open(
    house: House, peer: Secrets
) -> None:
    with house.opener.read() as connection:
        row = connection.execute(select(account)).one()
    everything = b"".join(v if isinstance(v, bytes) else str(v).encode() for v in row)
    for canary in (b"argon2", peer.totp_secret.encode(), peer.password.encode()):
        assert canary not in everything


def test_a_password_hash_moved_to_another_account_does_not_open(
    web: TestClient, house: House, peer: Secrets, participant: Secrets, clock: HandClock
) -> None:
    with house.opener.write() as connection:
        sealed = connection.execute(
            select(account.c.sealed).where(account.c.principal == participant.principal)
        ).scalar_one()
        connection.execute(
            update(account).where(account.c.principal == peer.principal).values(sealed=sealed)
        )
    with pytest.raises(SealBroken):
        answer_sign_in(house, Credentials(peer.username, participant.password, "1"))
    body = typed(participant, clock, username=peer.username)
    assert web.post("/oauth/sign-in", json=body).status_code == 500
