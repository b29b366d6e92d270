"""The log's door: every filter, paging, proofs; a participant reads about themselves alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.access.log import Log
from service.app import clock
from service.cli.demo_data import MARIA
from service.cli.offline import verify_download
from service.cli.people import fresh
from service.errors import Forbidden
from service.records.view import Caseload, Consented, Nobody
from service.vocabulary import Action, ResourceId
from tests.demo_house import TERRENCE, Town
from tests.review.acts import declare, entries, pull
from tests.sync.operations import one, session

Json = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def life(town: Town) -> None:
    """A little of everything: uses, a disclosure, refusals, failures, a broken glass."""
    for patient in (MARIA, TERRENCE):
        assert one(town["dana"], session(town["dana"], patient))["status"] == "applied"
    one(town["dana"], session(town["dana"], mood=9))
    pull(town)
    assert town.get("clinic", f"/fhir/Patient/{TERRENCE}").status_code == 404
    assert town["maria"].get("/fhir/Patient").status_code == 200
    assert declare(town, "doctor", TERRENCE).status_code == 200
    assert town["alex"].get(f"/fhir/Patient/{MARIA}").status_code == 403


def test_each_filter_leaves_what_it_says_and_nothing_else(town: Town) -> None:
    everything = entries(town)
    dana = town["dana"].user_id
    filters: dict[str, tuple[str, Any]] = {
        "patient": (TERRENCE, TERRENCE), "agent": (dana, dana),
        "action": ("sync-push", "sync-push"), "kind": ("disclosure", "disclosure"),
        "outcome": ("4", 4),
    }  # fmt: skip
    for name, (asked, held) in filters.items():
        found = entries(town, **{name: asked})
        assert found, name
        assert all(each[name] == held for each in found)
        expected = {each["id"] for each in everything if each[name] == held}
        assert expected <= {each["id"] for each in found}
    both = entries(town, patient=MARIA, action="sync-push")
    assert all((each["patient"], each["action"]) == (MARIA, "sync-push") for each in both)


def test_since_is_inclusive_and_until_is_not(town: Town) -> None:
    everything = entries(town)
    middle = everything[len(everything) // 2]["at"]
    late = {each["id"] for each in entries(town, since=middle)}
    early = {each["id"] for each in entries(town, until=middle)}
    assert not late & early
    assert {each["id"] for each in everything} <= late | early
    tomorrow = datetime.fromtimestamp(clock() / 1_000_000, UTC) + timedelta(days=2)
    assert entries(town, since=f"{tomorrow:%Y-%m-%d}") == []
    assert entries(town, since=tomorrow.isoformat(timespec="seconds")) == []


@pytest.mark.parametrize("name", ["casey", "maria"])
def test_pages_follow_each_other_without_gap_or_repetition(town: Town, name: str) -> None:
    until = datetime.fromtimestamp(clock() / 1_000_000, UTC).isoformat()
    whole = [each["id"] for each in entries(town, name, until=until)]
    walked: list[str] = []
    asked = {"until": until, "limit": "3"}
    while True:
        page = town[name].get("/review/entries", params=asked).json()
        walked += [each["id"] for each in page["entries"]]
        if page["next"] is None:
            break
        asked["before"] = page["next"]
    assert walked == whole
    assert len(set(walked)) == len(walked)


@pytest.mark.parametrize(
    "asked",
    [{"patient": "Maria"}, {"agent": "x"}, {"action": "look"}, {"kind": "odd"}, {"outcome": "1"},
     {"since": "yesterday"}, {"until": "2026-13-01"}, {"limit": "0"}, {"limit": "1001"},
     {"limit": "²"}, {"limit": "٣"}, {"limit": "-1"}, {"before": "1"}, {"before": "²." + MARIA},
     {"before": "9" * 19 + "." + MARIA}, {"patinet": MARIA}],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_without_its_value(
    town: Town, asked: dict[str, str]
) -> None:
    answer = town["casey"].get("/review/entries", params=asked)
    assert answer.status_code == 400
    assert "Maria" not in answer.text
    assert "yesterday" not in answer.text


def test_reading_the_log_is_in_the_log(town: Town) -> None:
    entries(town, patient=TERRENCE)
    newest = entries(town, agent=town["casey"].user_id, patient=TERRENCE)
    assert newest[0]["action"] == "audit-search"
    assert newest[0]["patient"] == TERRENCE


def test_a_participant_sees_who_looked_at_their_record_and_nobody_elses(town: Town) -> None:
    mine = entries(town, "maria")
    assert mine
    assert {each["patient"] for each in mine} == {MARIA}
    assert {town["dana"].user_id, town["clinic"].user_id} <= {each["agent"] for each in mine}
    assert {each["id"] for each in entries(town, "maria", patient=MARIA)} >= {
        each["id"] for each in mine
    }
    other = town["maria"].get("/review/entries", params={"patient": TERRENCE})
    nobody = town["maria"].get("/review/entries", params={"patient": fresh()})
    assert (other.status_code, other.content) == (403, nobody.content)
    by_agent = entries(town, "maria", agent=town["dana"].user_id)
    assert {each["patient"] for each in by_agent} == {MARIA}


def test_audit_events_are_kept_apart_alike(town: Town) -> None:
    about_terrence = entries(town, patient=TERRENCE, action="sync-push")[0]["id"]
    about_maria = entries(town, patient=MARIA, action="sync-push")[0]["id"]
    maria = town["maria"]
    assert maria.get(f"/fhir/AuditEvent/{about_maria}").status_code == 200
    assert maria.get(f"/fhir/AuditEvent/{about_terrence}").status_code == 404
    assert maria.get("/fhir/AuditEvent", params={"patient": TERRENCE}).status_code == 403
    by_id = maria.get("/fhir/AuditEvent", params={"_id": about_terrence})
    assert "entry" not in by_id.json()
    found = maria.get("/fhir/AuditEvent", params={"_count": "500"})
    assert TERRENCE not in found.text
    assert MARIA in found.text


@pytest.mark.parametrize("name", ["dana", "sam", "kim", "alex", "clinic"])
@pytest.mark.parametrize(
    "path",
    ["/review/entries", f"/review/entries/{MARIA}", f"/review/entries/{MARIA}/proof",
     f"/review/entries/{MARIA}/leaf", f"/review/accounting/{MARIA}", "/review/break-glass",
     "/fhir/AuditEvent", f"/fhir/AuditEvent/{MARIA}", "/ledger/tile/entries/000.p/1"],
)  # fmt: skip
def test_nobody_else_reads_the_log(town: Town, name: str, path: str) -> None:
    assert town[name].get(path).status_code == 403
    assert town.web.get(path).status_code == 401


@pytest.mark.parametrize("path", ["", "/proof", "/leaf"])
def test_proofs_are_the_compliance_officers(town: Town, path: str) -> None:
    entry = entries(town)[0]["id"]
    assert town["maria"].get(f"/review/entries/{entry}{path}").status_code == 403


@pytest.mark.parametrize("reach", [Caseload(ResourceId(MARIA)), Consented(), Nobody()])
def test_the_gate_hands_the_log_to_nobody_who_reaches_neither_all_nor_themselves(
    town: Town, reach: Any
) -> None:
    permit = town.house.access.permit(
        Action.AUDIT_SEARCH, town.presented("casey"), type="AuditEvent"
    )
    with permit as act, pytest.raises(Forbidden):
        Log.of(act.connection, reach)


def test_an_entry_comes_with_its_leaf_its_proof_and_its_audit_event(town: Town) -> None:
    found = entries(town, action="sync-push", patient=MARIA)[0]
    town.publish()
    casey = town["casey"]
    whole = casey.get(f"/review/entries/{found['id']}").json()
    assert {name: whole["entry"][name] for name in found if name != "seq"} == {
        name: value for name, value in found.items() if name != "seq"
    }
    assert whole["audit_event"]["resourceType"] == "AuditEvent"
    leaf = casey.get(f"/review/entries/{found['id']}/leaf")
    assert leaf.content.decode() == whole["leaf"]
    proof = casey.get(f"/review/entries/{found['id']}/proof")
    assert proof.text == whole["proof"]
    assert proof.headers["content-disposition"].endswith('.tlog-proof"')


def test_what_is_downloaded_verifies_away_from_the_house(town: Town, tmp_path: Path) -> None:
    found = entries(town)[0]["id"]
    town.publish()
    problem, report = verify_download(town["casey"], found, tmp_path, town.settings)
    assert not problem, report


def test_there_is_no_proof_before_a_checkpoint_covers_the_entry(town: Town) -> None:
    newest = entries(town)[0]["id"]
    assert town["casey"].get(f"/review/entries/{newest}/proof").status_code == 404
    town.publish()
    assert town["casey"].get(f"/review/entries/{newest}/proof").status_code == 200


@pytest.mark.parametrize("path", ["", "/proof", "/leaf"])
def test_an_entry_that_does_not_exist_is_absent(town: Town, path: str) -> None:
    for id_ in (fresh(), "nothing", "Maria%20Santos"):
        answer = town["casey"].get(f"/review/entries/{id_}{path}")
        assert answer.status_code == 404
        assert "Santos" not in answer.text


def test_broken_glass_is_listed_with_its_reason_and_only_ones_own_to_a_participant(
    town: Town,
) -> None:
    listed = town["casey"].get("/review/break-glass").json()["declarations"]
    (one_,) = [each for each in listed if each["patient"] == TERRENCE]
    assert one_["principal"] == town["doctor"].user_id
    assert one_["record"]["reason"].startswith("Unconscious")
    assert one_["record"]["facility"] == "Lakeside emergency department"
    assert town["maria"].get("/review/break-glass").json()["declarations"] == []
    own = town["terrence"].get("/review/break-glass").json()["declarations"]
    assert [each["id"] for each in own] == [one_["id"]]
    long_ago = town["casey"].get("/review/break-glass", params={"until": "2020-01-01"})
    assert long_ago.json()["declarations"] == []


def test_the_published_paths_are_what_any_verifier_asks_for(town: Town) -> None:
    town.publish()
    checkpoint = town.web.get("/ledger/checkpoint")
    assert checkpoint.headers["cache-control"] == "no-store"
    size = int(checkpoint.text.splitlines()[1])
    width = min(size, 256)
    path = "000" if width == 256 else f"000.p/{width}"
    tile = town.web.get(f"/ledger/tile/0/{path}")
    assert tile.status_code == 200
    assert len(tile.content) == 32 * width
    assert "immutable" in tile.headers["cache-control"]
    bundle = town["casey"].get(f"/ledger/tile/entries/{path}")
    assert bundle.status_code == 200
    assert bundle.headers["cache-control"] == "no-store"
    for absent in ("0/999", "0/x", "9/000", "0/000.p/0", "entries"):
        assert town.web.get(f"/ledger/tile/{absent}").status_code == 404


def test_health_says_whether_an_access_could_be_recorded(town: Town) -> None:
    assert town.web.get("/healthz").json() == {"status": "alive"}
    town.publish()
    assert town.web.get("/readyz").json() == {"status": "ready"}
