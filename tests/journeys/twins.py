"""A store and its twin: the same house, but all that one caller may not see is cut out of it.

Who may see what is said here again, record by record, by rules too simple to share a fault with
the service's one predicate.
"""

import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
from participants import Participant, care_team, consent
from sqlalchemy import create_engine, make_url, text

from service.cli.demo_data import DANA, KIM, PROGRAM
from service.cli.people import fresh
from service.database import engine as engines
from service.settings import Settings
from service.vocabulary import ACT_CODE, AUDIENCE_LABEL, CONFIDENTIALITY

TABLES = ("resource", "resource_version", "ix_token", "ix_reference", "ix_date", "ix_identifier")
POLICIES = ("nothing", "all", "not HIV", "2025", "encounters")
TYPES_OUTSIDE = {"Patient", "Encounter", "DocumentReference", "Goal", "Observation", "CareTeam"}
TYPES_INSIDE = TYPES_OUTSIDE | {"Consent"}
DATED = {"Encounter", "DocumentReference", "Observation"}


@dataclass(frozen=True)
class Record:
    """One resource, and what decides who sees it."""

    body: dict[str, Any]
    who: Participant
    policy: str
    on_caseload: bool
    conf: str = "N"
    families: frozenset[str] = frozenset()
    private: bool = False
    year: int = 0

    @property
    def type(self) -> str:
        return str(self.body["resourceType"])


def seen_outside(record: Record) -> bool:
    """By the organisation that the consents name."""
    if record.type not in TYPES_OUTSIDE or record.private or "PSYTHPN" in record.families:
        return False
    return {
        "nothing": False,
        "all": True,
        "not HIV": "HIV" not in record.families,
        "2025": record.year == 2025,
        "encounters": record.type == "Encounter",
    }[record.policy]


def seen_by_peer(record: Record) -> bool:
    """By a peer on the care team, who wrote none of it."""
    if record.type not in TYPES_INSIDE or not record.on_caseload:
        return False
    return not record.private and record.conf != "V" and "PSYTHPN" not in record.families


def population(seed: int) -> list[Record]:
    """Participants of every policy, on the caseload and off it, with records of every label."""
    dice = random.Random(seed)  # noqa: S311 (a reproducible world)
    records: list[Record] = []
    for number, policy in enumerate(POLICIES * 2):
        who = Participant(fresh(), fresh(), fresh())
        mine = number < len(POLICIES)
        base = Record({}, who, policy, mine)
        records += [_labelled(base, each, dice) for each in _header(who, mine=mine, dice=dice)]
        if policy != "nothing":
            records.append(replace(base, body=_consent(who, policy)))
        visits = [_visit(base, dice) for _ in range(5)]
        records += visits
        for visit in visits:
            records += [_document(base, visit, dice), _measure(base, visit, dice)]
        records.append(_labelled(base, _goal(who, dice), dice))
    return records


def _header(who: Participant, *, mine: bool, dice: random.Random) -> Iterator[dict[str, Any]]:
    family = dice.choice(["Baker", "Carver", "Dyer"])
    yield {
        "resourceType": "Patient", "id": who.id, "active": True, "gender": "unknown",
        "name": [{"family": family, "given": [dice.choice(["Ann", "Bo"])]}],
        "birthDate": f"19{dice.randint(50, 99)}-01-01",
    }  # fmt: skip
    yield care_team(who, (DANA, KIM) if mine else (KIM,))


def _labelled(base: Record, body: dict[str, Any], dice: random.Random, **more: Any) -> Record:
    conf = dice.choice("NNRV") if body["resourceType"] != "CareTeam" else "N"
    codes = dice.choice([(), (), ("SUD",), ("HIV",), ("SUD", "HIV"), ("PSYTHPN",)])
    if body["resourceType"] in ("Patient", "Encounter") and "PSYTHPN" in codes:
        codes = ()  # the import itself may not refer to a separate note
    labels = [{"system": CONFIDENTIALITY, "code": conf}]
    labels += [{"system": ACT_CODE, "code": code} for code in codes]
    if more.get("private"):
        labels.append({"system": AUDIENCE_LABEL, "code": "private"})
    body = body | {"meta": {"security": labels}}
    return replace(base, body=body, conf=conf, families=frozenset(codes), **more)


def _visit(base: Record, dice: random.Random) -> Record:
    year = dice.choice([2024, 2025])
    day = f"{year}-{dice.randint(2, 11):02}-{dice.randint(2, 27):02}"
    return _labelled(
        base,
        {
            "resourceType": "Encounter", "id": fresh(),
            "status": dice.choice(["finished", "planned"]),
            "class": {"system": ACT_CODE, "code": dice.choice(["AMB", "HH", "VR"])},
            "subject": {"reference": f"Patient/{base.who.id}"}, "type": [{"text": "Visit"}],
            "period": {"start": f"{day}T10:00:00Z", "end": f"{day}T11:00:00Z"},
            "serviceProvider": {"reference": f"Organization/{PROGRAM}"},
        },
        dice, year=year,
    )  # fmt: skip


def _document(base: Record, visit: Record, dice: random.Random) -> Record:
    return _labelled(
        base,
        {
            "resourceType": "DocumentReference", "id": fresh(), "status": "current",
            "type": {"coding": [{"system": "http://loinc.org", "code": "11506-3"}]},
            "date": visit.body["period"]["start"],
            "subject": {"reference": f"Patient/{base.who.id}"},
            "content": [{"attachment": {"contentType": "text/plain", "data": "V29yZHM="}}],
            "context": {"encounter": [{"reference": f"Encounter/{visit.body['id']}"}],
                        "period": visit.body["period"]},
        },
        dice, private=dice.random() < 0.2, year=visit.year,
    )  # fmt: skip


def _measure(base: Record, visit: Record, dice: random.Random) -> Record:
    return _labelled(
        base,
        {
            "resourceType": "Observation", "id": fresh(), "status": "final",
            "code": {"coding": [{"system": "urn:measure", "code": dice.choice("ab")}]},
            "subject": {"reference": f"Patient/{base.who.id}"},
            "encounter": {"reference": f"Encounter/{visit.body['id']}"},
            "effectiveDateTime": visit.body["period"]["start"], "valueInteger": dice.randint(0, 9),
        },
        dice, year=visit.year,
    )  # fmt: skip


def _goal(who: Participant, dice: random.Random) -> dict[str, Any]:
    return {
        "resourceType": "Goal", "id": fresh(), "description": {"text": "To rest"},
        "lifecycleStatus": dice.choice(["active", "completed"]),
        "subject": {"reference": f"Patient/{who.id}"},
    }  # fmt: skip


def _consent(who: Participant, policy: str) -> dict[str, Any]:
    form = consent(who)
    rule = form["provision"]
    if policy == "not HIV":
        hiv = {"type": "deny", "securityLabel": [{"system": ACT_CODE, "code": "HIV"}]}
        rule["provision"] = [hiv]
    elif policy == "2025":
        rule["dataPeriod"] = {"start": "2025-01-01", "end": "2025-12-31"}
    elif policy == "encounters":
        rule["class"] = [{"system": "http://hl7.org/fhir/resource-types", "code": "Encounter"}]
    return form


def twin(settings: Settings, folder: Path, port: int) -> Settings:
    """A copy of a house that is not running: database, keys, accounts, the notary's memory."""
    shutil.copytree(settings.data_dir, folder, dirs_exist_ok=True)
    moved = replace(
        settings, data_dir=folder, port=port, base_url=f"http://127.0.0.1:{port}",
        keyring=folder / "keys" / "keyring.json", notary_dir=folder / "notary",
    )  # fmt: skip
    if settings.sqlite:
        return replace(moved, database_url=f"sqlite:///{folder / 'database' / 'peernotes.db'}")
    url = make_url(settings.database_url)
    name = f"{url.database}_twin"
    admin = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {url.database}"))
    admin.dispose()
    copied = url.set(database=name).render_as_string(hide_password=False)
    return replace(moved, database_url=copied)


def cut(settings: Settings, records: list[Record], seen: Callable[[Record], bool]) -> int:
    """Remove every row of what is not seen, however it was indexed."""
    engine = engines.build(settings.database_url, pool_size=1)
    hidden = [record for record in records if not seen(record)]
    with engine.begin() as connection:
        for table in TABLES:
            gone = text(f"DELETE FROM {table} WHERE type = :type AND id = :id")
            for record in hidden:
                connection.execute(gone, {"type": record.type, "id": record.body["id"]})
    engine.dispose()
    return len(hidden)


def plain(answer: httpx2.Response, base_url: str) -> tuple[object, ...]:
    """An answer without what differs between any two answers: address, date, sealed page token."""
    body = answer.text.replace(base_url, "BASE")
    body = re.sub(r"_page=[\w-]+", "_page=TOKEN", body)
    ignored = {"date", "content-length"}  # a port or token may be longer by a character
    headers = {name: value for name, value in answer.headers.items() if name not in ignored}
    return answer.status_code, headers, body
