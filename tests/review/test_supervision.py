"""The supervisor's queue: co-sign once, return with a question, never one's own, never unseen."""

import json
from typing import Any

import pytest

from service.cli.demo_data import MARIA
from service.cli.people import fresh
from service.review import supervision
from tests.demo_house import DANA, SAM, Town
from tests.sync.operations import fetch, one, passage, search, session, with_private

Json = dict[str, Any]


def waiting(town: Town, name: str = "sam") -> list[Json]:
    answer = town[name].get("/supervise/queue")
    assert answer.status_code == 200, answer.text
    found: list[Json] = answer.json()["waiting"]
    return found


def signed(town: Town, name: str = "dana", **changed: Any) -> str:
    operation = session(town[name], **changed)
    assert one(town[name], operation)["status"] == "applied"
    return passage(operation)


def test_the_queue_holds_the_text_and_the_earliest_due_first(town: Town) -> None:
    notes = [signed(town) for _ in range(2)]
    rows = waiting(town)
    assert set(notes) <= {row["note"] for row in rows}
    row = next(row for row in rows if row["note"] == notes[0])
    assert (row["participant"], row["author"], row["version"]) == (MARIA, DANA, 1)
    assert "They talked about Sunday." in row["text"]
    assert [row["due"] for row in rows] == sorted(row["due"] for row in rows)


def test_a_private_passage_is_in_no_queue(town: Town) -> None:
    operation = with_private(town["dana"], "Zebra crossing.")
    one(town["dana"], operation)
    answer = town["sam"].get("/supervise/queue")
    assert "Zebra" not in answer.text
    assert passage(operation, 1) not in answer.text


def test_a_co_signed_note_is_final_and_says_who(town: Town) -> None:
    note = signed(town)
    before = fetch(town, "sam", "DocumentReference", note).json()
    answer = town["sam"].post(f"/supervise/notes/{note}/co-sign")
    assert answer.json() == {"note": note, "version": 2, "state": "co-signed"}
    after = fetch(town, "sam", "DocumentReference", note).json()
    assert after["docStatus"] == "final"
    assert after["authenticator"] == {"reference": f"Practitioner/{SAM}"}
    assert after["content"] == before["content"]
    (task,) = search(town, "sam", "Task", focus=f"DocumentReference/{note}")
    assert (task["status"], task["owner"]) == ("completed", {"reference": f"Practitioner/{SAM}"})
    signatures = search(town, "sam", "Provenance", target=f"DocumentReference/{note}")
    kinds = {each["agent"][0]["type"]["coding"][0]["code"] for each in signatures}
    assert kinds == {"author", "attester", "verifier"}
    assert note not in {row["note"] for row in waiting(town)}


def test_a_second_co_signature_is_a_conflict(town: Town) -> None:
    note = signed(town)
    assert town["sam"].post(f"/supervise/notes/{note}/co-sign").status_code == 200
    assert town["sam"].post(f"/supervise/notes/{note}/co-sign").status_code == 409
    found = fetch(town, "sam", "DocumentReference", note).json()
    assert found["meta"]["versionId"] == "2"


def test_nobody_co_signs_their_own_note(town: Town) -> None:
    note = signed(town, "sam")
    assert town["sam"].post(f"/supervise/notes/{note}/co-sign").status_code == 403
    assert fetch(town, "sam", "DocumentReference", note).json()["docStatus"] == "preliminary"


def test_a_returned_note_goes_back_with_its_question(town: Town) -> None:
    note = signed(town)
    answer = town["sam"].post(f"/supervise/notes/{note}/return", {"question": "Which sister?"})
    assert answer.json() == {"note": note, "state": "returned"}
    (task,) = search(town, "dana", "Task", focus=f"DocumentReference/{note}")
    assert (task["status"], task["owner"]) == ("on-hold", {"reference": f"Practitioner/{DANA}"})
    assert task["note"][0]["text"] == "Which sister?"
    assert note not in {row["note"] for row in waiting(town)}
    again = town["sam"].post(f"/supervise/notes/{note}/return", {"question": "Again?"})
    assert again.status_code == 409
    assert town["sam"].post(f"/supervise/notes/{note}/co-sign").status_code == 200
    (task,) = search(town, "dana", "Task", focus=f"DocumentReference/{note}")
    assert task["status"] == "completed"


@pytest.mark.parametrize("body", [None, {}, {"question": " "}, {"question": 7}, [], "x"])
def test_a_return_asks_something(town: Town, body: Any) -> None:
    note = signed(town)
    answer = town["sam"].post(f"/supervise/notes/{note}/return", body)
    assert answer.status_code == 400
    long = town["sam"].post(f"/supervise/notes/{note}/return", {"question": "x" * 2001})
    assert long.status_code == 400


def test_a_supervisor_without_the_participant_sees_nothing(town: Town) -> None:
    note = signed(town)
    assert waiting(town, "rio") == []
    for path, body in (("co-sign", None), ("return", {"question": "Which?"})):
        hidden = town["rio"].post(f"/supervise/notes/{note}/{path}", body)
        absent = town["rio"].post(f"/supervise/notes/{fresh()}/{path}", body)
        assert (hidden.status_code, hidden.content) == (404, absent.content)


@pytest.mark.parametrize("name", ["dana", "kim", "casey", "alex", "maria", "clinic"])
def test_nobody_else_has_this_door(town: Town, name: str) -> None:
    note = signed(town)
    assert town[name].get("/supervise/queue").status_code == 403
    assert town[name].post(f"/supervise/notes/{note}/co-sign").status_code == 403
    returned = town[name].post(f"/supervise/notes/{note}/return", {"question": "Which?"})
    assert returned.status_code == 403


def test_a_task_that_is_none_of_ours_does_not_close_the_queue(town: Town) -> None:
    note = signed(town)
    task: Json = {
        "resourceType": "Task", "status": "requested", "intent": "order",
        "meta": {"security": [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
        ]},
        "code": {"coding": [{"system": "urn:peernotes:task", "code": "co-sign"}]},
        "for": {"reference": f"Patient/{MARIA}"},
    }  # fmt: skip
    headers = {
        "authorization": f"Bearer {town['dana'].token}", "content-type": "application/fhir+json",
    }  # fmt: skip
    odd = task | {"focus": {"reference": f"Encounter/{encounter_of(town, note)}"}}
    for each in (task, odd):
        made = town.web.post("/fhir/Task", content=json.dumps(each), headers=headers)
        assert made.status_code == 201, made.text
    assert note in {row["note"] for row in waiting(town)}


def encounter_of(town: Town, note: str) -> str:
    found = fetch(town, "dana", "DocumentReference", note).json()
    reference: str = found["context"]["encounter"][0]["reference"]
    return reference.removeprefix("Encounter/")


def test_more_than_a_page_waits_and_all_of_it_shows(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = {signed(town) for _ in range(3)}
    whole = waiting(town)
    small = [pair for pair in supervision.WAITING if pair[0] != "_count"] + [("_count", "2")]
    monkeypatch.setattr(supervision, "WAITING", small)
    assert waiting(town) == whole
    assert notes <= {row["note"] for row in whole}
