"""The supervisor decides about what could not be filed: under its author's name, or not at all."""

from typing import Any

import pytest

from service.cli.people import fresh
from tests.demo_house import LEE, TERRENCE, Town
from tests.sync.operations import (
    entries,
    fetch,
    now,
    on_note,
    one,
    passage,
    search,
    session,
    with_private,
)

Json = dict[str, Any]


def waiting(town: Town, name: str = "sam") -> dict[str, Json]:
    answer = town[name].get("/supervise/quarantine")
    assert answer.status_code == 200, answer.text
    return {row["op_id"]: row for row in answer.json()["waiting"]}


def held(town: Town, **changed: Any) -> Json:
    """A session about Terrence by Lee, who is not on his team."""
    passages = [
        {"id": fresh(), "audience": "team", "text": "Zebra crossing."},
        {"id": fresh(), "audience": "private", "text": "Only the two of us."},
    ]
    signed = session(town["lee"], TERRENCE, passages=passages, **changed)
    assert one(town["lee"], signed)["status"] == "quarantined"
    return signed


def test_a_supervisor_reads_what_the_team_may_read(town: Town) -> None:
    signed = held(town)
    row = waiting(town)[signed["op_id"]]
    assert (row["author"], row["participant"], row["type"]) == (LEE, TERRENCE, "session.sign")
    assert [each["audience"] for each in row["payload"]["passages"]] == ["team"]
    assert "two of us" not in str(row)


def test_released_it_is_filed_under_its_authors_name_and_says_who_let_it_in(town: Town) -> None:
    signed = held(town)
    answer = town["sam"].post(f"/supervise/quarantine/{signed['op_id']}/release")
    assert answer.json() == {"op_id": signed["op_id"], "status": "applied", "version": 1}
    encounter = signed["entity"]["id"]
    header = fetch(town, "sam", "Encounter", encounter).json()
    assert header["participant"][0]["individual"] == {"reference": f"Practitioner/{LEE}"}
    signatures = search(town, "sam", "Provenance", target=f"Encounter/{encounter}")
    names = {
        (each["agent"][0]["type"]["coding"][0]["code"], each["agent"][0]["who"]["reference"])
        for each in signatures
    }
    sam = "Practitioner/20000000-0000-4000-8000-000000000002"
    assert names == {("author", f"Practitioner/{LEE}"), ("enterer", sam)}
    assert signed["op_id"] not in waiting(town)
    assert one(town["lee"], signed)["status"] == "applied", "the tablet hears of it at its replay"


def test_a_released_private_passage_is_its_authors_and_never_the_supervisors(town: Town) -> None:
    signed = held(town)
    assert town["sam"].post(f"/supervise/quarantine/{signed['op_id']}/release").status_code == 200
    private = passage(signed, 1)
    assert fetch(town, "sam", "DocumentReference", private).status_code == 404
    treating = {"headers": {"x-purpose-of-use": "TREAT"}}
    hidden = town.get("sam", f"/fhir/DocumentReference/{private}", **treating)
    assert hidden.status_code == 404
    assert fetch(town, "terrence", "DocumentReference", private).status_code == 200


def test_dismissed_it_stays_sealed_and_its_author_is_told_to_ask(town: Town) -> None:
    signed = held(town)
    answer = town["sam"].post(f"/supervise/quarantine/{signed['op_id']}/dismiss")
    assert answer.json()["status"] == "rejected"
    again = one(town["lee"], signed)
    assert (again["status"], again["issues"][0]["code"]) == ("rejected", "dismissed")
    assert again["replay"] is True
    assert fetch(town, "sam", "Encounter", signed["entity"]["id"]).status_code == 404
    assert town["sam"].post(f"/supervise/quarantine/{signed['op_id']}/release").status_code == 404
    told = entries(town, patient=TERRENCE, agent=town["sam"].user_id, action="sync-push")
    assert told[0]["outcome"] in (0, 4)


def test_a_decision_is_made_once(town: Town) -> None:
    signed = held(town)
    path = f"/supervise/quarantine/{signed['op_id']}/release"
    assert town["sam"].post(path).status_code == 200
    assert town["sam"].post(path).status_code == 404


def test_a_supervisor_without_the_participant_sees_and_decides_nothing(town: Town) -> None:
    signed = held(town)
    assert signed["op_id"] not in waiting(town, "rio")
    for decision in ("release", "dismiss"):
        path = f"/supervise/quarantine/{signed['op_id']}/{decision}"
        absent = f"/supervise/quarantine/{'01a21002-ad2b-7304-8933-1f318a6c0215'}/{decision}"
        hidden, missing = town["rio"].post(path), town["rio"].post(absent)
        assert (hidden.status_code, missing.status_code) == (404, 404)
    assert signed["op_id"] in waiting(town)


@pytest.mark.parametrize("name", ["dana", "lee", "kim", "casey", "alex", "maria"])
def test_nobody_else_has_this_door(town: Town, name: str) -> None:
    signed = held(town)
    assert town[name].get("/supervise/quarantine").status_code == 403
    for decision in ("release", "dismiss"):
        path = f"/supervise/quarantine/{signed['op_id']}/{decision}"
        assert town[name].post(path).status_code == 403


def test_nobody_decides_about_their_own_work(town: Town) -> None:
    sam = town["sam"]
    own = session(sam, TERRENCE, signed_at=now(days=2))
    assert one(sam, own)["status"] == "quarantined"
    for decision in ("release", "dismiss"):
        path = f"/supervise/quarantine/{own['op_id']}/{decision}"
        assert sam.post(path).status_code == 403


def test_a_fast_clock_is_let_in_by_a_person(town: Town) -> None:
    dana = town["dana"]
    early = session(dana, signed_at=now(days=2))
    assert one(dana, early)["status"] == "quarantined"
    path = f"/supervise/quarantine/{early['op_id']}/release"
    assert town["sam"].post(path).status_code == 200
    assert one(dana, early)["status"] == "applied"


def test_what_cannot_be_filed_even_now_keeps_waiting(town: Town) -> None:
    broken = held(town, goals=[{"id": fresh()}], no_goal_reason=None)
    path = f"/supervise/quarantine/{broken['op_id']}/release"
    answer = town["sam"].post(path)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["payload.goals[0].id"]
    assert broken["op_id"] in waiting(town)


def test_a_participant_whom_nobody_knows_can_only_be_dismissed(town: Town) -> None:
    lee = town["lee"]
    signed = session(lee, fresh())
    one(lee, signed)
    row = waiting(town)[signed["op_id"]]
    assert row["participant"] is None
    path = f"/supervise/quarantine/{signed['op_id']}"
    assert town["sam"].post(f"{path}/release").status_code == 404
    assert town["sam"].post(f"{path}/dismiss").status_code == 200


def test_what_is_added_to_a_private_note_is_not_shown(town: Town) -> None:
    dana, lee = town["dana"], town["lee"]
    signed = with_private(dana)
    one(dana, signed)
    open_, closed = (
        on_note(lee, "note.append", passage(signed, number), text="Zebra crossing.")
        for number in (0, 1)
    )
    one(lee, open_)
    one(lee, closed)
    rows = waiting(town)
    assert rows[open_["op_id"]]["payload"]["text"] == "Zebra crossing."
    assert "Zebra" not in str(rows[closed["op_id"]])


def test_what_is_held_is_sealed_under_its_participants_key(town: Town) -> None:
    signed = held(town)
    house = town.house
    with house.transactions.write() as connection:
        house.keyring.suspend(connection, TERRENCE)
    try:
        assert signed["op_id"] not in waiting(town)
    finally:
        with house.transactions.write() as connection:
            house.keyring.reinstate(connection, TERRENCE)
    assert signed["op_id"] in waiting(town)
