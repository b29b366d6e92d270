"""What we render meets the rules that IHE's published examples meet, and that bite."""

import json
from base64 import b64decode
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from balp_rules import faults
from fhir.resources.R4B.auditevent import AuditEvent
from hands import PATIENT, Make
from hypothesis import given, settings
from test_entry import entries, positions

from service.audit.balp import PROFILE, render
from service.audit.entry import Commitment, Entry, Kind, Outcome, Position, Touched
from service.vocabulary import Action, ResourceId

BASE = "https://notes.example/fhir"
OBSERVER = ResourceId("66666666-6666-4666-8666-666666666666")
CONSENT = "consent:77777777-7777-4777-8777-777777777777"
TOKEN_USE = "OAUTHaccessTokenUse"
EXAMPLES = Path(__file__).parents[3] / "shared" / "data" / "consent" / "balp"
INDEX = EXAMPLES / "INDEX.json"
PUBLISHED = json.loads(INDEX.read_text()) if INDEX.is_file() else []

Event = dict[str, Any]


def published() -> list[Any]:
    return [
        pytest.param(row["profile"], row["file"], id=row["file"])
        for row in PUBLISHED
        if TOKEN_USE not in row["profile"]  # how a token is shown: we record none
    ]


def rendered(entry: Entry, position: Position | None = None) -> Event:
    return render(entry, base_url=BASE, observer=OBSERVER, position=position)


def profile(event: Event) -> str:
    claimed = event.get("meta", {}).get("profile", [""])
    return str(claimed[0]).removeprefix(PROFILE)


def parts(event: Event) -> Iterator[tuple[str, Event]]:
    """The event with one required part removed, for each that every profile needs."""
    for name in ("type", "subtype", "action", "outcome", "source", "recorded"):
        yield name, {k: v for k, v in event.items() if k != name}
    for name in ("agent", "entity"):
        for number, item in enumerate(event[name]):
            if "Practitioner" in str(item) or required(name, item):
                kept = deepcopy(event)
                del kept[name][number]
                yield f"{name} {number}", kept


def required(name: str, item: Event) -> bool:
    """Users may be absent, and request ids; machines, objects and persons may not."""
    text = json.dumps(item)
    return "XrequestId" not in text and not (name == "agent" and item.get("requestor"))


def further(event: Event, part: str) -> bool:
    """Records beyond the first, and the consent, stand in addition to what a profile asks for."""
    name, _, number = part.partition(" ")
    return name == "entity" and "resource-types" in str(event["entity"][int(number)])


@pytest.mark.skipif(not PUBLISHED, reason=f"no published examples at {EXAMPLES}")
@pytest.mark.parametrize(("wanted", "file"), published())
def test_each_published_example_meets_its_rules_and_breaks_without_a_part(
    wanted: str, file: str
) -> None:
    event = json.loads((EXAMPLES / file).read_text())
    assert faults(wanted, event) == []
    for name, less in parts(event):
        assert faults(wanted, less), name


EVERY_ACCESS = [
    (Action.CREATE, "Create"), (Action.UPDATE, "Update"), (Action.DELETE, "Delete"),
    (Action.READ, "Read"), (Action.VREAD, "Read"), (Action.SEARCH, "Query"),
    (Action.HISTORY, "Query"), (Action.SYNC_PUSH, "Create"), (Action.IMPORT, "Create"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "name"), EVERY_ACCESS)
@pytest.mark.parametrize("patient", [PATIENT, None])
@pytest.mark.parametrize("agent", ["someone", ""])
def test_an_access_claims_the_profile_it_meets(
    make: Make, action: Action, name: str, patient: str | None, agent: str
) -> None:
    wanted = f"Patient{name}" if patient else name
    for records in (1, 3):
        touched = tuple(Touched("Encounter", str(n), 1, bytes(32)) for n in range(records))
        event = rendered(make(action=action, patient=patient, agent=agent, touched=touched))
        assert profile(event) == wanted
        assert faults(wanted, event) == []
        for part, less in parts(event):
            assert further(event, part) or faults(wanted, less), part


def test_a_push_that_changed_something_is_told_as_an_update(make: Make) -> None:
    touched = (Touched("Encounter", "1", 1), Touched("Task", "2", 2))
    event = rendered(make(action=Action.SYNC_PUSH, touched=touched))
    assert profile(event) == "PatientUpdate"
    assert faults("PatientUpdate", event) == []


@pytest.mark.parametrize("action", [Action.READ, Action.SEARCH, Action.VREAD, Action.HISTORY])
def test_a_disclosure_feeds_the_accounting(make: Make, action: Action) -> None:
    event = rendered(make(kind=Kind.DISCLOSURE, action=action, basis=CONSENT, purpose="COC"))
    assert profile(event) == "PrivacyDisclosure.Source"
    assert faults("PrivacyDisclosure.Source", event) == []
    for part, less in parts(event):
        assert further(event, part) or faults("PrivacyDisclosure.Source", less), part
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "COC"
    assert event["agent"][1]["who"]["reference"].startswith("Organization/")


def test_a_refusal_by_consent_names_the_consent_and_nothing_else(make: Make) -> None:
    entry = make(kind=Kind.CONSENT_REFUSAL, outcome=Outcome.REFUSED, basis=CONSENT, reason="denied")
    event = rendered(entry)
    assert profile(event) == "AuthZconsent"
    assert faults("AuthZconsent", event) == []
    for part, less in parts(event):
        assert faults("AuthZconsent", less), part
    assert event["outcomeDesc"] == "denied"


@pytest.mark.parametrize(
    "missing", [{"basis": ""}, {"organisation": ""}, {"agent": ""}, {"patient": None}]
)
def test_a_refusal_that_cannot_conform_claims_no_profile(make: Make, missing: Event) -> None:
    whole = {"kind": Kind.CONSENT_REFUSAL, "outcome": Outcome.REFUSED, "basis": CONSENT}
    event = rendered(make(**whole | missing))
    assert profile(event) == ""
    assert event["subtype"][0]["code"] == "AuthZ-Role"


@pytest.mark.parametrize("kind", [Kind.REFUSAL, Kind.FAILURE, Kind.USE, Kind.DISCLOSURE])
@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED])
def test_what_failed_keeps_its_shape_and_claims_no_profile(
    make: Make, kind: Kind, outcome: Outcome
) -> None:
    event = rendered(make(kind=kind, outcome=outcome, reason="lapsed"))
    assert profile(event) == ""
    assert event["outcome"] == str(int(outcome))
    assert faults("PatientRead", event) == ["outcome"]


@pytest.mark.parametrize(
    ("kind", "action", "kind_code", "subtype"),
    [
        (Kind.LOGIN, Action.SIGN_IN, "110114", "110122"),
        (Kind.BREAK_GLASS, Action.BREAK_GLASS, "110113", "110127"),
        (Kind.OPEN_FAIL, Action.READ, "110113", ""),
        (Kind.STREAM_OPEN, Action.RECORD, "110100", "110120"),
        (Kind.STREAM_CLOSE, Action.RECORD, "110100", "110121"),
        (Kind.LEDGER_GAP, Action.RECORD, "110113", ""),
        (Kind.USE, Action.AUDIT_SEARCH, "110101", ""),
        (Kind.USE, Action.ACCOUNTING, "110101", ""),
    ],
)
def test_other_events_bear_their_dicom_code(
    make: Make, kind: Kind, action: Action, kind_code: str, subtype: str
) -> None:
    event = rendered(make(kind=kind, action=action))
    assert profile(event) == ""
    assert event["type"]["code"] == kind_code
    assert [s["code"] for s in event.get("subtype", [])] == ([subtype] if subtype else [])


def test_an_emergency_override_ends_under_its_own_code(make: Make) -> None:
    ended = make(
        kind=Kind.BREAK_GLASS, action=Action.BREAK_GLASS, purpose="BTG",
        details=(("phase", "ended"),),
    )  # fmt: skip
    event = rendered(ended)
    assert event["subtype"][0]["code"] == "110138"
    assert event["purposeOfEvent"][0]["coding"][0]["code"] == "BTG"


def test_digests_place_and_commitments_are_shown(make: Make) -> None:
    entry = make(
        action=Action.CREATE, touched=(Touched("Encounter", "e", 1, bytes(range(32))),),
        commitments=(Commitment("reason", bytes(32)),),
    )  # fmt: skip
    event = rendered(entry, Position("s", 2**40, bytes(32)))
    [data] = [e for e in event["entity"] if "detail" in e]
    assert b64decode(data["detail"][0]["valueBase64Binary"]) == bytes(range(32))
    assert data["detail"][0]["type"] == "sealed-sha256"
    urls = [e["url"].rpartition("/")[2] for e in event["extension"]]
    assert urls == ["ledger-position", "ledger-commitment"]


def test_a_query_is_the_normalised_request(make: Make) -> None:
    asked = "GET Encounter?date=~&patient=1"
    event = rendered(make(action=Action.SEARCH, details=(("query", asked),)))
    [query] = [e for e in event["entity"] if "query" in e]
    assert b64decode(query["query"]).decode() == asked


def test_time_is_told_to_the_microsecond(make: Make) -> None:
    event = rendered(make(at=1_773_324_000_000_001))
    assert event["recorded"] == "2026-03-12T14:00:00.000001Z"


@given(entries, positions)
@settings(max_examples=40)
def test_every_entry_renders_to_valid_r4_under_the_rules_it_claims(
    entry: Entry, position: Position | None
) -> None:
    event = rendered(entry, position)
    valid = without_empty_strings(event)
    AuditEvent.model_validate(valid)
    if profile(event):
        assert faults(profile(event), event) == []
    assert rendered(entry, position) == event


def without_empty_strings(value: Any) -> Any:
    """Hypothesis draws strings that no code, id or uri may be; that is for the gate to hold."""
    match value:
        case dict():
            return {k: without_empty_strings(v) for k, v in value.items()}
        case list():
            return [without_empty_strings(v) for v in value]
        case str() if not value.strip() or value != value.strip() or "  " in value or " " in value:
            return "x"
    return value
