"""The demo's seven scenes. Each asks over HTTP, checks the answer and says what it shows."""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console

from service.cli.demo_data import CONSENT, GOAL, MARIA, consent
from service.cli.offline import verify_download
from service.cli.people import Ehr, Person, fresh
from service.settings import Settings

TABLET = "70000000-0000-4000-8000-000000000001"


class StepFailed(Exception):
    """A step of the story does not hold."""


def play(console: Console, people: dict[str, Person], ehr: Ehr, settings: Settings) -> None:
    console.rule("[bold]peernotes: one session, from the tablet to the proof")
    _grant_again(people["maria"])
    encounter, note = _session(console, people["dana"])
    _co_sign(console, people["sam"], note)
    _pull(console, ehr, encounter, note)
    _revoke(console, people["maria"])
    _pull_again(console, ehr, encounter)
    _review(console, people["casey"], settings)
    _grant_again(people["maria"])
    console.print("Maria gives her consent again, so that you find something to look at.")
    console.rule("[bold green]Every step held")


def _demand(holds: bool, what: str, answer: httpx2.Response | None = None) -> None:  # noqa: FBT001
    if not holds:
        status = f" (HTTP {answer.status_code})" if answer is not None else ""
        raise StepFailed(what + status)


def _grant_again(maria: Person) -> None:
    """A second demo on the same data starts from consent given, as the first one did."""
    _signed_in(maria)
    found = maria.get(f"/fhir/Consent/{CONSENT}")
    _demand(found.status_code == 200, "the participant reads her own consent", found)
    if found.json()["status"] != "active":
        again = maria.put(
            f"/fhir/Consent/{CONSENT}", consent("active"), if_match=found.headers["etag"]
        )
        _demand(again.status_code == 200, "the participant gives consent again", again)


def _signed_in(person: Person) -> None:
    if person.token:
        return
    answer = person.sign_in()
    _demand(answer.status_code == 200, f"{person.username} signs in", answer)


def _session(console: Console, dana: Person) -> tuple[str, str]:
    _signed_in(dana)
    encounter, note, private = fresh(), fresh(), fresh()
    end = datetime.now(UTC) - timedelta(minutes=5)
    start = end - timedelta(minutes=30)
    payload = {
        "participant": MARIA,
        "modality": "in_person",
        "place": "site",
        "service": "one_to_one",
        "goals": [{"id": GOAL, "progress": "improving"}],
        "did": {"chips": ["Listened", "Practised a phone call"], "text": ""},
        "response": {"chips": ["Engaged"], "text": ""},
        "sentence": "Maria rang her sister and they will meet on Sunday.",
        "their_words": "I did not think she would pick up.",
        "mood": 4,
        "next_step": {"text": "Meet her sister", "date": f"{end + timedelta(days=4):%Y-%m-%d}"},
        "agreement": "agreed",
        "passages": [
            {"id": note, "audience": "team", "text": ""},
            {"id": private, "audience": "private", "text": "She worries about her brother."},
        ],
        "signed_at": (end + timedelta(minutes=1)).isoformat(timespec="seconds"),
    }  # fmt: skip
    occurred = {
        "start": start.isoformat(timespec="seconds"),
        "end": end.isoformat(timespec="seconds"),
        "tz": "America/New_York",
        "timer_s": 1800,
    }
    operation = dana.operation("session.sign", ("Encounter", encounter), TABLET, payload, occurred)
    first = dana.push(TABLET, operation)
    _demand(first.status_code == 200, "the tablet pushes the session", first)
    result = first.json()["results"][0]
    _demand(result["status"] == "applied", f"the session is applied, not {result}")
    twice = dana.push(TABLET, operation).json()["results"][0]
    _demand(twice.get("replay") is True, "the same push again answers as the first did")
    console.print(
        "1. [bold]Dana, peer specialist[/], signs a 30-minute session on the tablet: one push, one"
        " commit.\n   Sent twice (a lost answer in the car), stored once."
    )
    return encounter, note


def _co_sign(console: Console, sam: Person, note: str) -> None:
    _signed_in(sam)
    waiting = sam.get("/supervise/queue")
    _demand(waiting.status_code == 200, "the supervisor opens the queue", waiting)
    _demand(
        note in {row["note"] for row in waiting.json()["waiting"]}, "the note waits in the queue"
    )
    signed = sam.post(f"/supervise/notes/{note}/co-sign")
    _demand(signed.status_code == 200, "the supervisor co-signs", signed)
    console.print("2. [bold]Sam, supervisor[/], reads it in the queue and co-signs: it is final.")


def _pull(console: Console, ehr: Ehr, encounter: str, note: str) -> None:
    token = ehr.authorize()
    _demand(token.status_code == 200, "the EHR gets a token by private_key_jwt", token)
    for type_, id_ in (("Encounter", encounter), ("DocumentReference", note)):
        answer = ehr.get(f"/fhir/{type_}", params={"patient": MARIA})
        _demand(answer.status_code == 200, f"the EHR searches {type_}", answer)
        ids = {
            entry["resource"].get("id")
            for entry in answer.json().get("entry", [])
            if entry["search"]["mode"] == "match"
        }
        _demand(id_ in ids, f"the {type_} is in the EHR's answer")
        _demand("42 CFR part 2" in answer.text, "the Part 2 notice travels with it")
        _demand("worries about her brother" not in answer.text, "the private passage stays")
    console.print(
        "3. [bold]Lakeside Clinic's EHR[/] pulls Encounter and note under Maria's consent; the 42"
        " CFR Part 2 notice\n   travels with them, the passage kept between Maria and Dana does"
        " not."
    )


def _revoke(console: Console, maria: Person) -> None:
    found = maria.get(f"/fhir/Consent/{CONSENT}")
    _demand(found.status_code == 200, "the participant reads her own consent", found)
    revoked = found.json() | {"status": "inactive"}
    answer = maria.put(f"/fhir/Consent/{CONSENT}", revoked, if_match=found.headers["etag"])
    _demand(answer.status_code == 200, "the participant revokes", answer)
    console.print("4. [bold]Maria[/] revokes her consent.")


def _pull_again(console: Console, ehr: Ehr, encounter: str) -> None:
    hidden = ehr.get(f"/fhir/Encounter/{encounter}")
    absent = ehr.get(f"/fhir/Encounter/{fresh()}")
    _demand(hidden.status_code == 404, "the encounter answers 404 after revocation", hidden)
    _demand(
        hidden.content == absent.content and _shape(hidden) == _shape(absent),
        "hidden answers exactly as absent",
    )
    known = ehr.get("/fhir/Encounter", params={"patient": MARIA})
    unknown = ehr.get("/fhir/Encounter", params={"patient": fresh()})
    _demand(
        known.json().get("entry") is None and unknown.json().get("entry") is None
        and known.json().keys() == unknown.json().keys(),
        "the search answers as for a participant who does not exist",
    )  # fmt: skip
    console.print(
        "5. The [bold]EHR's next pull[/] finds nothing: the same bytes as for a record that never"
        " existed."
    )


def _shape(answer: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "date"}


def _review(console: Console, casey: Person, settings: Settings) -> None:
    _signed_in(casey)
    found = casey.get("/review/entries", params={"patient": MARIA, "limit": 100})
    _demand(found.status_code == 200, "the compliance officer searches the log", found)
    entries: list[dict[str, Any]] = found.json()["entries"]
    kinds = {entry["kind"] for entry in entries}
    _demand({"use", "disclosure", "consent-refusal"} <= kinds, "use, disclosure and refusal are in")
    accounting = casey.get(f"/review/accounting/{MARIA}")
    _demand(accounting.status_code == 200, "the accounting of disclosures", accounting)
    _demand(len(accounting.json()["disclosures"]) >= 2, "both pulls are in the accounting")
    console.print(
        f"6. [bold]Casey, compliance officer[/], finds {len(entries)} entries about Maria, and"
        f" {len(accounting.json()['disclosures'])} disclosures in the accounting."
    )
    with tempfile.TemporaryDirectory() as folder:
        report = _verified(casey, entries[-1]["id"], Path(folder), settings)
    console.print(
        "7. Checkpoint, tiles, entries and a proof, downloaded and verified [bold]offline[/]:\n   "
        + report
    )


def _verified(casey: Person, entry: str, folder: Path, settings: Settings) -> str:
    """The tree takes an entry within a moment: try for a few seconds, then say that it failed."""
    problem, report = True, ""
    for _ in range(20):
        problem, report = verify_download(casey, entry, folder, settings)
        if not problem:
            break
        time.sleep(0.5)
    _demand(not problem, report)
    return report
