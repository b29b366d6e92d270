"""Push: what each status means, what it leaves behind, and that nothing blocks its neighbours."""

import gzip
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.cli.demo_data import GOAL, MARIA
from service.cli.people import fresh
from service.records.document import parse
from service.sync.push import push as send
from service.vocabulary import Action, ResourceId
from tests.demo_house import TERRENCE, Town
from tests.sync.operations import (
    OTHER_TABLET,
    TABLET,
    attempt,
    entries,
    fetch,
    now,
    on_note,
    one,
    passage,
    push,
    resealed,
    search,
    session,
    session_payload,
    with_private,
)

Json = dict[str, Any]


def test_a_session_is_applied_and_its_records_are_there(town: Town) -> None:
    dana = town["dana"]
    signed = with_private(dana)
    assert one(dana, signed) == {"op_id": signed["op_id"], "status": "applied", "version": 1}
    encounter = fetch(town, "dana", "Encounter", signed["entity"]["id"]).json()
    assert encounter["status"] == "finished"
    notes = search(town, "dana", "DocumentReference", encounter=encounter["id"])
    assert {note["id"] for note in notes} == {passage(signed), passage(signed, 1)}
    tasks = search(town, "dana", "Task", focus=f"DocumentReference/{passage(signed)}")
    assert [task["status"] for task in tasks] == ["requested"]
    goal = fetch(town, "dana", "Goal", GOAL).json()
    assert goal["achievementStatus"]["coding"][0]["code"] == "improving"
    seen = search(town, "sam", "DocumentReference", encounter=encounter["id"])
    assert {note["id"] for note in seen} == {passage(signed)}, "a private passage is between two"


def test_a_replay_gets_the_first_answer_and_changes_nothing(town: Town) -> None:
    dana = town["dana"]
    signed = session(dana)
    first = one(dana, signed)
    before = search(town, "dana", "Provenance", target=f"Encounter/{signed['entity']['id']}")
    for _ in range(3):
        assert one(dana, signed) == first | {"replay": True}
    after = search(town, "dana", "Provenance", target=f"Encounter/{signed['entity']['id']}")
    assert before == after


def test_an_op_id_used_for_something_else_is_refused(town: Town) -> None:
    dana = town["dana"]
    signed = session(dana)
    one(dana, signed)
    other = resealed(signed, payload=session_payload(sentence="Another day."))
    result = one(dana, other)
    assert (result["status"], result["issues"][0]["code"]) == ("rejected", "op_id_reuse")
    assert "replay" not in result
    assert one(dana, signed)["replay"] is True, "the first one's answer stands"


def test_another_peer_gets_nobodys_answer(town: Town) -> None:
    dana, lee = town["dana"], town["lee"]
    signed = session(dana)
    one(dana, signed)
    assert one(lee, signed)["status"] == "denied"
    stolen = resealed(signed, user_id=lee.user_id)
    result = one(lee, stolen)
    assert (result["status"], result["issues"][0]["code"]) == ("rejected", "op_id_reuse")


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "another schema": ({"schema": 2}, "schema"),
    "an old schema": ({"schema": 0}, "schema"),
    "an unknown type": ({"type": "session.unsign"}, "type"),
    "an entity of another type": ({"entity": {"type": "Task", "id": GOAL}}, "entity.type"),
    "an entity by name": ({"entity": {"type": "Encounter", "id": "maria"}}, "entity.id"),
    "another device": ({"device_id": OTHER_TABLET}, "device_id"),
    "a count below zero": ({"seq": -1}, "seq"),
    "a count beyond 2^53": ({"seq": 2**60}, "seq"),
    "a dependency by name": ({"depends_on": ["first"]}, "depends_on"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_wrong_on_the_outside_is_named_and_not_stored(town: Town, case: str) -> None:
    dana = town["dana"]
    changed, path = FAULTS[case]
    signed = session(dana)
    result = one(dana, resealed(signed, **changed))
    assert result["status"] == "rejected"
    assert path in [issue["path"] for issue in result["issues"]]
    assert one(dana, signed)["status"] == "applied", "its op_id is still free"


def test_a_wrong_digest_is_refused(town: Town) -> None:
    dana = town["dana"]
    signed = session(dana)
    for broken in (signed | {"sha256": "0" * 64}, signed | {"seq": signed["seq"] + 1}):
        result = one(dana, broken)
        assert (result["status"], result["issues"][0]["code"]) == ("rejected", "digest")


def test_fields_that_are_missing_unknown_or_too_big_are_refused_without_a_word_of_them(
    town: Town,
) -> None:
    dana = town["dana"]
    signed = session(dana)
    for broken in (
        {name: value for name, value in signed.items() if name != "payload"},
        signed | {"note": "zebra"},
        signed | {"seq": "zebra"},
        signed | {"payload": {"mood": 2**70}},
        signed | {"op_id": signed["op_id"].upper()},
        signed | {"op_id": fresh()},
        {"op_id": 7},
        {},
    ):
        answer = dana.push(TABLET, broken)
        assert answer.status_code == 200
        assert answer.json()["results"][0]["status"] == "rejected"
        assert "zebra" not in answer.text


def test_a_rejected_operation_leaves_its_row_and_a_failed_entry_and_no_record(town: Town) -> None:
    dana = town["dana"]
    broken = session(dana, mood=9, sentence=None)
    before = entries(town)[0]["at"]
    result = one(dana, broken)
    assert result["status"] == "rejected"
    assert {issue["path"] for issue in result["issues"]} == {"payload.mood", "payload.sentence"}
    assert fetch(town, "dana", "Encounter", broken["entity"]["id"]).status_code == 404
    assert fetch(town, "dana", "DocumentReference", passage(broken)).status_code == 404
    failed = [
        each
        for each in entries(town, action="sync-push", since=before)
        if each["kind"] == "failure"
    ]
    assert failed[0]["reason"] == "Invalid"
    assert failed[0]["patient"] == MARIA
    assert one(dana, broken) == result | {"replay": True}


def test_a_record_that_fails_late_undoes_what_came_before_it(town: Town) -> None:
    dana = town["dana"]
    broken = session(dana, order=fresh())
    result = one(dana, broken)
    assert result["issues"][0]["path"] == "payload.order"
    taken = session(dana)
    one(dana, taken)
    again = session(dana, passages=[{"id": passage(taken), "audience": "team", "text": ""}])
    assert one(dana, again)["status"] == "conflict"
    assert fetch(town, "dana", "Encounter", again["entity"]["id"]).status_code == 404


def test_a_goal_of_nobody_or_of_another_is_a_fault_at_its_field(town: Town) -> None:
    dana = town["dana"]
    nobody = one(dana, session(dana, goals=[{"id": fresh()}]))
    assert (nobody["status"], nobody["issues"][0]["path"]) == ("rejected", "payload.goals[0].id")
    other = one(dana, session(dana, TERRENCE, goals=[{"id": GOAL, "progress": "improving"}]))
    assert other["status"] == "rejected"


def test_one_bad_operation_never_blocks_its_neighbours(town: Town) -> None:
    dana = town["dana"]
    good, bad, last = session(dana), session(dana, mood=9), attempt(dana)
    results = push(dana, good, bad, {"op_id": "junk"}, last)
    assert [each["status"] for each in results] == ["applied", "rejected", "rejected", "applied"]
    assert [each["op_id"] for each in results] == [good["op_id"], bad["op_id"], "", last["op_id"]]


def test_what_depends_on_something_waits_for_it_and_is_not_stored(town: Town) -> None:
    dana = town["dana"]
    first = session(dana)
    second = resealed(attempt(dana), depends_on=[first["op_id"]])
    assert one(dana, second) == {"op_id": second["op_id"], "status": "blocked"}
    assert one(dana, second)["status"] == "blocked"
    assert [each["status"] for each in push(dana, first, second)] == ["applied", "applied"]
    bad = session(dana, mood=9)
    after = resealed(attempt(dana), depends_on=[bad["op_id"]])
    assert [each["status"] for each in push(dana, bad, after)] == ["rejected", "blocked"]


def test_another_operation_for_the_same_record_is_a_conflict(town: Town) -> None:
    dana = town["dana"]
    signed = session(dana)
    assert one(dana, signed)["status"] == "applied"
    again = resealed(session(dana), entity=signed["entity"], payload=signed["payload"],
                     occurred=signed["occurred"])  # fmt: skip
    assert one(dana, again)["status"] == "conflict"
    assert len(search(town, "dana", "Provenance",
                      target=f"DocumentReference/{passage(signed)}")) == 2  # fmt: skip


def test_a_session_without_access_is_quarantined_and_its_replay_stays_so(town: Town) -> None:
    lee = town["lee"]
    signed = session(lee, TERRENCE)
    result = one(lee, signed)
    assert result == {"op_id": signed["op_id"], "status": "quarantined"}, "no reason is given"
    assert one(lee, signed) == result | {"replay": True}
    assert fetch(town, "dana", "Encounter", signed["entity"]["id"]).status_code == 404
    refused = entries(town, patient=TERRENCE, agent=lee.user_id)
    assert {each["kind"] for each in refused} == {"refusal", "use"}


def test_a_participant_who_does_not_exist_answers_as_one_who_is_hidden(town: Town) -> None:
    lee = town["lee"]
    hidden, absent = (one(lee, session(lee, whom)) for whom in (TERRENCE, fresh()))
    assert hidden | {"op_id": ""} == absent | {"op_id": ""}


def test_a_clock_two_days_fast_is_for_the_supervisor(town: Town) -> None:
    dana = town["dana"]
    assert one(dana, session(dana, signed_at=now(days=2)))["status"] == "quarantined"
    assert one(dana, attempt(dana, at=now(days=2)))["status"] == "quarantined"


def test_an_attempt_is_kept_without_a_narrative(town: Town) -> None:
    dana = town["dana"]
    tried = attempt(dana)
    assert one(dana, tried)["status"] == "applied"
    with town.house.access.permit(Action.READ, town.presented("dana"), type="Communication") as act:
        found = parse(act.records.read("Communication", tried["entity"]["id"]).body)
    assert found["status"] == "not-done"
    assert "payload" not in found
    assert one(dana, attempt(dana, outcome="vanished"))["status"] == "rejected"


@pytest.mark.parametrize("name", ["kim", "casey", "alex", "maria", "clinic"])
def test_only_peers_and_supervisors_push(town: Town, name: str) -> None:
    person = town[name]
    assert person.push(TABLET, session(person)).status_code == 403
    assert person.push(TABLET).status_code == 403
    assert person.push(TABLET, {"op_id": "junk"}).status_code == 403


def test_an_empty_batch_is_answered_and_recorded(town: Town) -> None:
    assert town["dana"].push(TABLET).json()["results"] == []


def test_too_many_operations_and_too_many_bytes_are_refused_whole(town: Town) -> None:
    dana = town["dana"]
    assert dana.push(TABLET, *[attempt(dana) for _ in range(51)]).status_code == 413
    long = session(dana, sentence="x" * 300_000)
    assert dana.push(TABLET, long).status_code == 413
    assert one(dana, attempt(dana))["status"] == "applied"


def packed(town: Town, content: bytes, encoding: str = "gzip") -> Any:
    headers = {"authorization": f"Bearer {town['dana'].token}", "content-encoding": encoding}
    return town.web.post("/sync/v1/push", content=content, headers=headers)


def test_a_batch_may_be_packed_and_a_bomb_is_not_unpacked(town: Town) -> None:
    dana = town["dana"]
    batch = {"device": TABLET, "app_version": "1", "ops": [session(dana)]}
    good = gzip.compress(json.dumps(batch).encode())
    assert packed(town, good).json()["results"][0]["status"] == "applied"
    assert packed(town, gzip.compress(b" " * 50_000_000)).status_code == 413
    for broken in (good[:-9], b"junk", good + b"more", b""):
        assert packed(town, broken).status_code == 400
    assert packed(town, good, "br").status_code == 415


@pytest.mark.parametrize(
    "batch",
    [b"", b"[]", b"{}", b'"x"', b'{"device":"x","app_version":"1","ops":[]}',
     b'{"device":"70000000-0000-4000-8000-000000000001","app_version":"1","ops":[7]}',
     b'{"device":"70000000-0000-4000-8000-000000000001","app_version":1,"ops":[]}',
     b'{"device":"70000000-0000-4000-8000-000000000001","app_version":"1","ops":{}}',
     b'{"device":"\\ud800"}', b"[" * 100_000],
)  # fmt: skip
def test_a_batch_that_cannot_be_read_asks_for_one_by_one(town: Town, batch: bytes) -> None:
    answer = packed(town, batch, "")
    assert answer.status_code == 400


def test_without_a_token_nothing_is_read(town: Town) -> None:
    assert town.web.post("/sync/v1/push", json={}).status_code == 401


def test_a_note_of_another_is_not_amended_and_one_unseen_is_quarantined(town: Town) -> None:
    dana, sam, lee = town["dana"], town["sam"], town["lee"]
    signed = session(dana)
    one(dana, signed)
    assert one(sam, on_note(sam, "note.amend", passage(signed)))["status"] == "rejected"
    assert one(lee, on_note(lee, "note.append", passage(signed)))["status"] == "quarantined"


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8), each, max_size=3)
    ),
    max_leaves=5,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_junk_anywhere_gets_an_answer_and_never_an_error(town: Town, data: st.DataObject) -> None:
    """Whatever is in an operation, honest hash or not: it is answered, and alone."""
    dana = town["dana"]
    whole = session(dana)
    name = data.draw(st.sampled_from(sorted(whole.keys() - {"sha256", "op_id"})))
    broken = {**whole, name: data.draw(junk)}
    with suppress(ValueError):
        broken = resealed(broken)
    pusher = town.presented("dana")
    results = send(town.house.access, pusher, ResourceId(TABLET), (broken, whole), ("SUD",))
    assert results[0]["status"] in ("rejected", "denied", "blocked", "applied")
    assert results[1]["status"] in ("applied", "rejected")
