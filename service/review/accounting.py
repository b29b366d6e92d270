"""Accounting of disclosures: what left the program about one participant, to whom, by what right.

Three reports. `all` is everything that went outside in six years. `164.528` (45 CFR) leaves out
what was for treatment, payment and operations, authorised, or to the participant. `2.25` (42 CFR)
is what was disclosed with consent, in three years. Uses inside, refusals and other participants
are in none. CSV is safe for spreadsheets: no cell starts a formula.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.access.act import Act
from service.access.permit import Basis
from service.audit.entry import Entry
from service.consent.purposes import TPO
from service.errors import Absent, Gone, Issue, Malformed
from service.records.document import parse
from service.review.requests import instant_of, is_uuid, json_of, micros, one_of, only
from service.vocabulary import Action, Micros, PatientId
from service.web import Caller, Gate

router = APIRouter(prefix="/review", tags=["review"])
MICROSECOND = timedelta(microseconds=1)
SIX_YEARS = timedelta(days=6 * 365 + 2) // MICROSECOND
THREE_YEARS = timedelta(days=3 * 365 + 1) // MICROSECOND
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS = (
    "date", "recipient", "recipient_name", "recipient_address", "what", "purpose", "basis", "entry",
)  # fmt: skip


class Report(StrEnum):
    """Which accounting is asked for."""

    ALL = "all"
    HIPAA = "164.528"
    PART2 = "2.25"

    @property
    def reach(self) -> int:
        """How far back it goes before the day on which it is asked for."""
        return THREE_YEARS if self is Report.PART2 else SIX_YEARS

    def includes(self, entry: Entry) -> bool:
        consented = entry.basis.startswith(f"{Basis.CONSENT}:")
        match self:
            case Report.ALL:
                return True
            case Report.PART2:
                return consented
            case Report.HIPAA:  # a broken glass carries a purpose of its own, and is told
                return not (consented or entry.purpose in TPO or entry.basis == Basis.OWN_RECORD)


@dataclass(frozen=True, slots=True)
class Accounting:
    """45 CFR 164.528(b), 42 CFR 2.25: date, to whom, what, why, by what right."""

    patient: str
    report: str
    since: str
    until: str
    disclosures: tuple[dict[str, Any], ...]


@router.get("/accounting/{patient}")
def accounting(request: Request, patient: str, caller: Caller, access: Gate) -> Response:
    """JSON, or (`format=csv`) CSV; `report`, `since` and `until` narrow it."""
    asked = request.query_params
    only(asked, {"report", "since", "until", "format"})
    if not is_uuid(patient):
        raise Malformed("A participant is named by the id of their Patient.")
    report = one_of(asked, "report", Report) or Report.ALL
    with access.permit(
        Action.ACCOUNTING, caller, type="AuditEvent", patient=PatientId(patient)
    ) as act:
        since, until = _window(asked, report, act.at)
        found = act.log.disclosures(PatientId(patient), since, until)
        names: dict[str, tuple[str, str]] = {}
        rows = tuple(_disclosure(act, each, names) for each in found if report.includes(each))
    told = Accounting(patient, report, instant_of(since), instant_of(until), rows)
    return _csv(told) if asked.get("format") == "csv" else json_of(told)


def _window(asked: Mapping[str, str], report: Report, at: Micros) -> tuple[Micros, Micros]:
    """A shorter one is honoured; a longer one than the law knows is refused, not cut."""
    earliest = Micros(at - report.reach)
    since = micros(asked, "since")
    if since is not None and since < earliest:
        text = "This accounting does not go back that far."
        raise Malformed(text, Issue("value", text, "since"))
    return since or earliest, micros(asked, "until") or Micros(at + 1)


def _disclosure(act: Act, entry: Entry, names: dict[str, tuple[str, str]]) -> dict[str, Any]:
    if entry.organisation not in names:
        names[entry.organisation] = _known_as(act, entry.organisation)
    kinds: dict[str, int] = {}
    for record in entry.touched:
        kinds[record.type] = kinds.get(record.type, 0) + 1
    name, address = names[entry.organisation]
    return {
        "date": instant_of(entry.at),
        "recipient": f"Organization/{entry.organisation}" if entry.organisation else entry.agent,
        "recipient_name": name or None,
        "recipient_address": address or None,
        "what": ", ".join(f"{count} {type_}" for type_, count in sorted(kinds.items())),
        "records": [f"{each.type}/{each.id}" for each in entry.touched],
        "purpose": entry.purpose,
        "basis": entry.basis,
        "entry": entry.id,
    }


def _known_as(act: Act, organisation: str) -> tuple[str, str]:
    """The recipient's name and, if known, address (164.528(b)(2)(ii)); empty if not kept here."""
    try:
        found = parse(act.records.read("Organization", organisation).body)
    except (Absent, Gone):
        return "", ""
    first: dict[str, Any] = next(iter(found.get("address", [])), {})
    parts = [*first.get("line", []), *(first.get(x) for x in ("city", "state", "postalCode"))]
    return str(found.get("name", "")), ", ".join(part for part in parts if part)


def _csv(told: Accounting) -> Response:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in told.disclosures:
        cells = [str(row[column] or "") for column in COLUMNS]
        writer.writerow(["'" + cell if cell.startswith(FORMULA) else cell for cell in cells])
    headers = {"content-disposition": 'attachment; filename="accounting.csv"'}
    return Response(out.getvalue(), 200, headers, "text/csv; charset=utf-8")
