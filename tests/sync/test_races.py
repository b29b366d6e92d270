"""Many tablets at once: whatever the interleaving, every signed note is there exactly once."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.access.caller import Presented
from service.cli.demo_data import GOAL, MARIA
from service.sync.push import push
from service.vocabulary import ResourceId
from tests.demo_house import TERRENCE, WALTER, Town
from tests.sync.operations import (
    TABLET,
    attempt,
    fetch,
    on_note,
    one,
    passage,
    resealed,
    search,
    session,
)

Json = dict[str, Any]


def send(town: Town, presented: Presented, *operations: Json) -> list[Json]:
    return push(town.house.access, presented, ResourceId(TABLET), operations, ("SUD",))


def together(*works: Callable[[], Any]) -> None:
    """All at once; an exception in any fails the test."""
    gate, failed = threading.Barrier(len(works)), []

    def run(work: Callable[[], Any]) -> None:
        gate.wait()
        try:
            work()
        except Exception as error:  # noqa: BLE001 (shown below)
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed


def test_two_threads_with_one_operation_make_one_session(town: Town) -> None:
    presented = town.presented("dana")
    for _ in range(5):
        signed = session(town["dana"])
        answers: list[Json] = []
        together(*[lambda: answers.extend(send(town, presented, signed)) for _ in range(4)])  # noqa: B023
        assert Counter(each["status"] for each in answers) == {"applied": 4}
        assert sum("replay" not in each for each in answers) == 1
        encounter = signed["entity"]["id"]
        assert len(search(town, "dana", "DocumentReference", encounter=encounter)) == 1
        assert len(search(town, "dana", "Provenance", target=f"Encounter/{encounter}")) == 1
        found = fetch(town, "dana", "Encounter", encounter).json()
        assert found["meta"]["versionId"] == "1"


def test_two_threads_with_one_refused_operation_store_one_refusal(town: Town) -> None:
    presented = town.presented("dana")
    bad = session(town["dana"], mood=9)
    answers: list[Json] = []
    together(*[lambda: answers.extend(send(town, presented, bad)) for _ in range(4)])
    assert {each["status"] for each in answers} == {"rejected"}
    assert sum("replay" not in each for each in answers) == 1


def test_two_operations_with_one_op_id_let_one_in(town: Town) -> None:
    presented = town.presented("dana")
    first = session(town["dana"])
    second = resealed(session(town["dana"]), op_id=first["op_id"])
    answers: list[Json] = []
    together(*[
        lambda op=op: answers.extend(send(town, presented, op)) for op in (first, second)
    ])  # fmt: skip
    assert Counter(each["status"] for each in answers) == {"applied": 1, "rejected": 1}


def test_sessions_that_move_the_same_goal_at_once_are_all_kept(town: Town) -> None:
    presented = town.presented("dana")
    words = ("improving", "no-change", "worsening", "achieved")
    signed = [session(town["dana"], goals=[{"id": GOAL, "progress": word}]) for word in words]
    before = int(fetch(town, "dana", "Goal", GOAL).json()["meta"]["versionId"])
    answers: list[Json] = []
    together(*[lambda op=op: answers.extend(send(town, presented, op)) for op in signed])
    assert Counter(each["status"] for each in answers) == {"applied": len(words)}
    after = int(fetch(town, "dana", "Goal", GOAL).json()["meta"]["versionId"])
    assert before < after <= before + len(words)


def test_two_amendments_of_one_note_let_one_in(town: Town) -> None:
    presented = town.presented("dana")
    signed = session(town["dana"])
    one(town["dana"], signed)
    both = [
        resealed(on_note(town["dana"], "note.amend", passage(signed)), base_version=1)
        for _ in range(2)
    ]
    answers: list[Json] = []
    together(*[lambda op=op: answers.extend(send(town, presented, op)) for op in both])
    assert Counter(each["status"] for each in answers) == {"applied": 1, "conflict": 1}
    assert fetch(town, "dana", "DocumentReference", passage(signed)).json()["status"] == (
        "superseded"
    )


def state(town: Town, operations: list[Json]) -> list[tuple[Any, ...]]:
    """What the house holds of these operations, without anything that the clock decides."""
    held: list[tuple[Any, ...]] = []
    for operation in operations:
        if operation["type"] != "session.sign":
            continue
        found = fetch(town, "dana", "Encounter", operation["entity"]["id"])
        encounter = operation["entity"]["id"]
        if found.status_code != 200:
            held.append((encounter, "absent"))
            continue
        notes = search(town, "dana", "DocumentReference", encounter=encounter)
        signatures = search(town, "dana", "Provenance", target=f"Encounter/{encounter}")
        tasks = search(town, "dana", "Task", encounter=encounter)
        held.append((
            encounter, found.json()["status"],
            sorted((note["id"], note["status"], note["docStatus"]) for note in notes),
            sorted(each["id"] for each in signatures),
            sorted((task["id"], task["status"]) for task in tasks),
        ))  # fmt: skip
    return held


def story(town: Town) -> list[Json]:
    """Sessions, what follows them, and what cannot be: in one tablet's order."""
    dana = town["dana"]
    first, second = session(dana), session(dana, TERRENCE)
    added = resealed(on_note(dana, "note.append", passage(first)), depends_on=[first["op_id"]])
    amended = resealed(on_note(dana, "note.amend", passage(second)), depends_on=[second["op_id"]])
    wrong = resealed(
        on_note(dana, "note.error", amended["entity"]["id"]), depends_on=[amended["op_id"]]
    )
    return [first, second, session(dana, WALTER, mood=9), added, amended, wrong,
            attempt(dana, MARIA)]  # fmt: skip


def settle(town: Town, presented: Presented, operations: list[Json]) -> dict[str, str]:
    """Sends in order until nothing is blocked, as a tablet does when it is back online."""
    for _ in range(len(operations)):
        found = send(town, presented, *operations)
        if all(each["status"] != "blocked" for each in found):
            return {each["op_id"]: each["status"] for each in found}
    raise AssertionError("something stays blocked")


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_interleaving_and_repetition_ends_in_the_state_of_one_clean_run(
    town: Town, seed: int
) -> None:
    """Drops, duplicates and reorders, from two connections at once, then one clean pass."""
    chance = random.Random(seed)  # noqa: S311 (a shuffle)
    presented = town.presented("dana")
    clean = story(town)
    outcome = settle(town, presented, clean)
    expected = state(town, clean)
    assert settle(town, presented, clean) == outcome
    assert state(town, clean) == expected, "a replay of everything changes nothing"

    messy = story(town)
    batches = [chance.choices(messy, k=chance.randint(1, 6)) for _ in range(6)]
    half = len(batches) // 2

    def sender(mine: list[list[Json]]) -> None:
        for batch in mine:
            send(town, presented, *batch)

    together(lambda: sender(batches[:half]), lambda: sender(batches[half:]))
    statuses = settle(town, presented, messy)
    assert [statuses[op["op_id"]] for op in messy] == [outcome[op["op_id"]] for op in clean]
    found = state(town, messy)
    assert [shape(each) for each in found] == [shape(each) for each in expected]


def shape(held: tuple[Any, ...]) -> Any:
    """A session without its ids: how many of what, in which state."""
    if len(held) == 2:
        return held[1]
    _, status, notes, signatures, tasks = held
    return (
        status, sorted(note[1:] for note in notes), len(signatures),
        sorted(task[1] for task in tasks),
    )  # fmt: skip
