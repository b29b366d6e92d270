"""People served, as each story needs its own: taken in by import, met by a peer, consenting."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from house import Service

from service.app import clock
from service.cli import demo_data
from service.cli.demo_data import CLINIC, DANA, KIM, SAM
from service.cli.intake import OPERATOR
from service.cli.people import Person, fresh
from service.vocabulary import Action, ResourceId

TABLET = "70000000-0000-4000-8000-000000000001"
TEAM = (DANA, SAM, KIM)


@dataclass(frozen=True)
class Participant:
    """Ids alone; the records are in the house."""

    id: str
    consent: str
    care_team: str


@dataclass(frozen=True)
class Logged:
    """What one session became."""

    encounter: str
    note: str
    private: str
    operation: dict[str, Any]


def arrive(
    service: Service, *, name: str = "Nobody", team: Sequence[str] = TEAM,
    consented: bool = False, recipient: ResourceId = CLINIC,
) -> Participant:  # fmt: skip
    """A participant with a care team and, if `consented`, a consent towards `recipient`."""
    who = Participant(fresh(), fresh(), fresh())
    store(service, patient(who, name), care_team(who, team))
    if consented:
        store(service, consent(who, recipient=recipient))
    return who


def store(service: Service, *resources: dict[str, Any]) -> None:
    """As the program's own import does, through the gate."""
    with service.house.access.operate(Action.IMPORT, OPERATOR) as act:
        for resource in resources:
            act.update(resource)


def patient(who: Participant, name: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": who.id,
        "active": True,
        "identifier": [{"system": "urn:peernotes:journey", "value": f"{name}-{who.id[:8]}"}],
        "name": [{"use": "official", "family": name, "given": ["Robin"]}],
        "gender": "unknown",
        "birthDate": "1990-05-17",
    }


def care_team(who: Participant, team: Sequence[str]) -> dict[str, Any]:
    return {
        "resourceType": "CareTeam",
        "id": who.care_team,
        "status": "active",
        "name": "Peer support",
        "subject": {"reference": f"Patient/{who.id}"},
        "period": {"start": "2026-01-01"},
        "participant": [
            {
                "role": [{"text": "Team member"}],
                "member": {"reference": f"Practitioner/{member}"},
                "period": {"start": "2026-01-01"},
            }
            for member in (team or (str(KIM),))
        ],
    }


def consent(
    who: Participant, *, recipient: ResourceId = CLINIC, status: str = "active"
) -> dict[str, Any]:
    """The demo's consent form, signed by this participant towards this recipient."""
    form = demo_data.consent(status)
    reference = {"reference": f"Patient/{who.id}"}
    form |= {"id": who.consent, "patient": reference, "performer": [reference]}
    form["verification"][0]["verifiedWith"] = reference
    form["provision"]["actor"][0]["reference"] = {"reference": f"Organization/{recipient}"}
    return form


def session(
    peer: Person, who: Participant, *, text: str = "We spoke.", private: str = "Between us.",
    ended: timedelta = timedelta(minutes=5), **changes: Any,
) -> Logged:  # fmt: skip
    """The operation that a tablet pushes for a session; not pushed yet."""
    encounter, note, kept = str(uuid4()), str(uuid4()), str(uuid4())
    end = datetime.fromtimestamp(clock() // 1_000_000, UTC) - ended
    start = end - timedelta(minutes=30)
    payload = {
        "participant": who.id,
        "modality": "in_person",
        "place": "site",
        "service": "one_to_one",
        "goals": [],
        "no_goal_reason": "First meeting",
        "did": {"chips": ["Listened"], "text": ""},
        "response": {"chips": ["Engaged"], "text": ""},
        "sentence": text,
        "agreement": "agreed",
        "passages": [
            {"id": note, "audience": "team", "text": ""},
            {"id": kept, "audience": "private", "text": private},
        ],
        "signed_at": (end + timedelta(minutes=1)).isoformat(timespec="seconds"),
    } | changes  # fmt: skip
    occurred = {
        "start": start.isoformat(timespec="seconds"),
        "end": end.isoformat(timespec="seconds"),
        "tz": "America/New_York",
        "timer_s": 1800,
    }
    operation = peer.operation("session.sign", ("Encounter", encounter), TABLET, payload, occurred)
    return Logged(encounter, note, kept, operation)


def log(peer: Person, who: Participant, **words: Any) -> Logged:
    """Logs a session, and sees it applied."""
    logged = session(peer, who, **words)
    answer = peer.push(TABLET, logged.operation)
    assert answer.status_code == 200
    assert answer.json()["results"][0]["status"] == "applied", answer.text
    return logged
