"""After signing: addendum, amendment, error, each with what it means for Task and Encounter."""

import base64

from service.cli.demo_data import GOAL
from tests.demo_house import Town
from tests.sync.operations import (
    fetch,
    on_note,
    one,
    passage,
    resealed,
    search,
    session,
    with_private,
)


def state(town: Town, note: str) -> tuple[str, str]:
    found = fetch(town, "dana", "DocumentReference", note).json()
    return found["status"], found["docStatus"]


def tasks(town: Town, note: str) -> list[str]:
    found = search(town, "dana", "Task", focus=f"DocumentReference/{note}")
    return [task["status"] for task in found]


def waiting(town: Town) -> set[str]:
    return {row["note"] for row in town["sam"].get("/supervise/queue").json()["waiting"]}


def test_an_addendum_leaves_the_note_as_it_was_and_waits_itself(town: Town) -> None:
    dana = town["dana"]
    signed = session(dana)
    one(dana, signed)
    before = fetch(town, "dana", "DocumentReference", passage(signed)).json()
    added = on_note(dana, "note.append", passage(signed))
    assert one(dana, added)["status"] == "applied"
    assert fetch(town, "dana", "DocumentReference", passage(signed)).json() == before
    assert {passage(signed), added["entity"]["id"]} <= waiting(town)
    sam = town["sam"]
    assert sam.post(f"/supervise/notes/{added['entity']['id']}/co-sign").status_code == 200
    assert state(town, added["entity"]["id"]) == ("current", "final")
    assert tasks(town, passage(signed)) == ["requested"]


def test_an_addendum_answers_a_returned_note(town: Town) -> None:
    dana, sam = town["dana"], town["sam"]
    signed = session(dana)
    one(dana, signed)
    note = passage(signed)
    asked = sam.post(f"/supervise/notes/{note}/return", {"question": "Which\u00a0sister?"})
    assert asked.status_code == 200
    assert note not in waiting(town)
    assert tasks(town, note) == ["on-hold"]
    one(dana, on_note(dana, "note.append", note))
    assert note in waiting(town)


def test_an_amendment_takes_the_notes_place_and_its_task(town: Town) -> None:
    dana = town["dana"]
    signed = session(dana)
    one(dana, signed)
    old, amended = passage(signed), on_note(dana, "note.amend", passage(signed))
    assert one(dana, resealed(amended, base_version=1))["status"] == "applied"
    new = amended["entity"]["id"]
    assert state(town, old) == ("superseded", "preliminary")
    assert state(town, new) == ("current", "preliminary")
    text = fetch(town, "dana", "DocumentReference", old).json()["content"][0]["attachment"]["data"]
    assert b"They talked about Sunday." in base64.b64decode(text), "the old text stays readable"
    assert (tasks(town, old), tasks(town, new)) == (["cancelled"], ["requested"])
    assert town["sam"].post(f"/supervise/notes/{old}/co-sign").status_code == 409
    assert town["sam"].post(f"/supervise/notes/{new}/co-sign").status_code == 200
    assert state(town, new) == ("current", "amended")


def test_a_stale_base_version_is_a_conflict_and_says_so_again(town: Town) -> None:
    dana = town["dana"]
    signed = session(dana)
    one(dana, signed)
    for base in (0, 2, 7):
        stale = resealed(on_note(dana, "note.amend", passage(signed)), base_version=base)
        result = one(dana, stale)
        assert result["status"] == "conflict"
        assert one(dana, stale) == result | {"replay": True}
    made = resealed(session(dana), base_version=1)
    assert one(dana, made)["status"] == "rejected", "what makes a record has no base version"


def test_the_only_team_note_in_error_takes_its_encounter_along(town: Town) -> None:
    dana = town["dana"]
    signed = with_private(dana)
    one(dana, signed)
    encounter = signed["entity"]["id"]
    result = one(dana, on_note(dana, "note.error", passage(signed)))
    assert (result["status"], result["version"]) == ("applied", 2)
    assert state(town, passage(signed)) == ("entered-in-error", "entered-in-error")
    assert fetch(town, "dana", "Encounter", encounter).json()["status"] == "entered-in-error"
    assert tasks(town, passage(signed)) == ["cancelled"]
    assert state(town, passage(signed, 1)) == ("current", "final")
    assert one(dana, on_note(dana, "note.error", passage(signed)))["status"] == "conflict"


def test_a_session_with_another_team_note_stands(town: Town) -> None:
    dana = town["dana"]
    signed = with_private(dana)
    one(dana, signed)
    encounter = signed["entity"]["id"]
    one(dana, on_note(dana, "note.error", passage(signed, 1)))
    assert fetch(town, "dana", "Encounter", encounter).json()["status"] == "finished"
    amended = on_note(dana, "note.amend", passage(signed))
    one(dana, amended)
    one(dana, on_note(dana, "note.error", passage(signed)))
    assert fetch(town, "dana", "Encounter", encounter).json()["status"] == "finished"
    one(dana, on_note(dana, "note.error", amended["entity"]["id"]))
    assert fetch(town, "dana", "Encounter", encounter).json()["status"] == "entered-in-error"


def test_what_is_added_to_a_private_passage_stays_between_the_two(town: Town) -> None:
    dana = town["dana"]
    signed = with_private(dana)
    one(dana, signed)
    for type_ in ("note.append", "note.amend"):
        added = on_note(dana, type_, passage(signed, 1))
        assert one(dana, added)["status"] == "applied"
        assert fetch(town, "dana", "DocumentReference", added["entity"]["id"]).status_code == 200
        for name in ("sam", "kim", "casey"):
            hidden = fetch(town, name, "DocumentReference", added["entity"]["id"])
            assert hidden.status_code in (403, 404)


def test_progress_is_kept_whoever_wrote_the_goal_in_between(town: Town) -> None:
    """Goal versions are the server's: a session that moves a goal names none."""
    dana = town["dana"]
    first, second = (
        session(dana, goals=[{"id": GOAL, "progress": word}]) for word in ("no-change", "achieved")
    )
    assert one(dana, first)["status"] == one(dana, second)["status"] == "applied"
    goal = fetch(town, "dana", "Goal", GOAL).json()
    assert goal["achievementStatus"]["coding"][0]["code"] == "achieved"
