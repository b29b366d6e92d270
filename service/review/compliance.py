"""The compliance officer's door: entries, proofs, accounting of disclosures, break-glass, leaves.

Reading the log is itself in the log. CSV is safe for spreadsheets: no cell starts a formula.
"""

import csv
import io
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.access.act import Act
from service.audit import search
from service.audit.balp import render
from service.audit.entry import Entry, Kind, Outcome
from service.errors import Absent, Gone, Malformed
from service.records import glass
from service.records.document import parse
from service.review.requests import instant_of, is_uuid, micros, one_of, page_of, uuid_of
from service.vocabulary import Action, EntryId, Micros, PatientId
from service.web import Caller, Gate

router = APIRouter(prefix="/review", tags=["review"])
SIX_YEARS = timedelta(days=6 * 365 + 2)
"""45 CFR 164.528(a)(1): disclosures of the six years before the request."""
YEAR = timedelta(days=366) // timedelta(microseconds=1)
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@router.get("/entries")
def entries(request: Request, caller: Caller, access: Gate) -> Response:
    """Entries, newest first. Filters: patient, agent, action, kind, outcome, since, until."""
    asked = request.query_params
    criteria = search.Criteria(
        patient=PatientId(uuid_of(asked, "patient")) if "patient" in asked else None,
        agent=uuid_of(asked, "agent") if "agent" in asked else None,
        action=one_of(asked, "action", Action),
        kind=one_of(asked, "kind", Kind),
        outcome=_outcome(asked.get("outcome")),
        since=micros(asked, "since"),
        until=micros(asked, "until"),
        limit=page_of(asked, most=1000),
        before=_before(asked.get("before")),
    )
    with access.permit(
        Action.AUDIT_SEARCH, caller, type="AuditEvent", patient=criteria.patient
    ) as act:
        own = replace(criteria, patient=act.log_of(criteria.patient))
        found = search.find(act.connection, own)
    rows = [_row(each.entry, each.seq) for each in found]
    following = None
    if len(found) == criteria.limit:
        last = found[-1].entry
        following = f"{last.at}.{last.id}"
    return _json({"entries": rows, "next": following})


@router.get("/entries/{id_}")
def entry(request: Request, id_: str, caller: Caller, access: Gate) -> Response:
    """The leaf, its proof under the newest checkpoint, and the leaf rendered as an AuditEvent."""
    with access.permit(Action.AUDIT_PROOF, caller, type="AuditEvent", id=id_) as act:
        found = search.by_id(act.connection, EntryId(id_)) if is_uuid(id_) else None
        if found is None:
            raise Absent("There is no such entry.")
        leaf = search.leaf(act.connection, found.entry.id)
        proof = search.proof(act.connection, found.entry.id)
    event = render(
        found.entry, base_url=f"{request.app.state.settings.base_url}/fhir",
        observer=access.observer, position=found.position,
    )  # fmt: skip
    return _json(
        {
            "entry": _row(found.entry, found.seq),
            "leaf": leaf.decode() if leaf else None,
            "proof": proof,
            "audit_event": event,
        }
    )


@router.get("/entries/{id_}/proof")
def proof(id_: str, caller: Caller, access: Gate) -> Response:
    """A C2SP .tlog-proof; 404 until a checkpoint covers the entry, a second after it was made."""
    with access.permit(Action.AUDIT_PROOF, caller, type="AuditEvent", id=id_) as act:
        text = search.proof(act.connection, EntryId(id_)) if is_uuid(id_) else None
        if text is None:
            raise Absent("There is no such entry, or no checkpoint covers it yet.")
    headers = {"content-disposition": f'attachment; filename="{id_}.tlog-proof"'}
    return Response(text, 200, headers, "text/plain; charset=utf-8")


@router.get("/entries/{id_}/leaf")
def leaf(id_: str, caller: Caller, access: Gate) -> Response:
    """The very bytes that were hashed into the tree."""
    with access.permit(Action.AUDIT_PROOF, caller, type="AuditEvent", id=id_) as act:
        content = search.leaf(act.connection, EntryId(id_)) if is_uuid(id_) else None
        if content is None:
            raise Absent("There is no such entry.")
    return Response(content, 200, None, "application/octet-stream")


@dataclass(frozen=True, slots=True)
class Accounting:
    """45 CFR 164.528(b), 42 CFR 2.25: date, to whom, what, why, by what right."""

    patient: str
    since: str
    until: str
    disclosures: tuple[dict[str, Any], ...]


@router.get("/accounting/{patient}")
def accounting(request: Request, patient: str, caller: Caller, access: Gate) -> Response:
    """What was disclosed about a participant, JSON or (`format=csv`) CSV; six years by default."""
    if not is_uuid(patient):
        raise Malformed("A participant is named by the id of their Patient.")
    asked = request.query_params
    with access.permit(
        Action.ACCOUNTING, caller, type="AuditEvent", patient=PatientId(patient)
    ) as act:
        act.log_of(PatientId(patient))
        until = micros(asked, "until") or Micros(act.at + 1)
        since = micros(asked, "since") or Micros(until - SIX_YEARS // timedelta(microseconds=1))
        found = search.disclosures(act.connection, PatientId(patient), since, until)
        names: dict[str, str | None] = {}
        rows = tuple(_disclosure(act, each, names) for each in found)
    told = Accounting(patient, instant_of(since), instant_of(until), rows)
    if asked.get("format") == "csv":
        return _csv(told)
    return _json(told)


@router.get("/break-glass")
def break_glass(request: Request, caller: Caller, access: Gate) -> Response:
    """Every declaration in force since `since` (a year by default): who, whose record, why."""
    with access.permit(Action.AUDIT_SEARCH, caller, type="AuditEvent") as act:
        whose = act.log_of(None)
        until = micros(request.query_params, "until") or Micros(act.at + 1)
        since = micros(request.query_params, "since") or Micros(act.at - YEAR)
        declared = [
            {
                "id": grant.id,
                "patient": grant.patient,
                "principal": grant.principal,
                "from": instant_of(grant.lo),
                "until": instant_of(grant.hi),
                "record": msgspec.json.decode(grant.record) if grant.record else None,
            }
            for grant in glass.grants(act.connection, act.keyring, since, until)
            if whose in (None, grant.patient)
        ]
    return _json({"declarations": declared})


def _disclosure(act: Act, entry: Entry, names: dict[str, str | None]) -> dict[str, Any]:
    if entry.organisation not in names:
        names[entry.organisation] = _name_of(act, entry.organisation)
    kinds: dict[str, int] = {}
    for record in entry.touched:
        kinds[record.type] = kinds.get(record.type, 0) + 1
    return {
        "date": instant_of(entry.at),
        "recipient": f"Organization/{entry.organisation}" if entry.organisation else entry.agent,
        "recipient_name": names[entry.organisation],
        "what": ", ".join(f"{count} {type_}" for type_, count in sorted(kinds.items())),
        "records": [f"{each.type}/{each.id}" for each in entry.touched],
        "purpose": entry.purpose,
        "basis": entry.basis,
        "entry": entry.id,
    }


def _name_of(act: Act, organisation: str) -> str | None:
    """45 CFR 164.528(b)(2)(ii) wants the recipient's name; None if it is not kept here."""
    try:
        stored = act.records.read("Organization", organisation)
    except (Absent, Gone):
        return None
    name = parse(stored.body).get("name")
    return name if isinstance(name, str) else None


def _row(entry: Entry, seq: int | None) -> dict[str, Any]:
    return {
        "id": entry.id,
        "seq": seq,
        "at": instant_of(entry.at),
        "kind": entry.kind,
        "action": entry.action,
        "outcome": int(entry.outcome),
        "agent": entry.agent,
        "client": entry.client,
        "role": entry.role,
        "organisation": entry.organisation,
        "purpose": entry.purpose,
        "patient": entry.patient,
        "basis": entry.basis,
        "reason": entry.reason,
        "type": entry.resource_type,
        "records": [f"{each.type}/{each.id}/_history/{each.version}" for each in entry.touched],
    }


def _csv(told: Accounting) -> Response:
    out = io.StringIO()
    columns = ("date", "recipient", "recipient_name", "what", "purpose", "basis", "entry")
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in told.disclosures:
        cells = [str(row[column] or "") for column in columns]
        writer.writerow(["'" + cell if cell.startswith(FORMULA) else cell for cell in cells])
    headers = {"content-disposition": 'attachment; filename="accounting.csv"'}
    return Response(out.getvalue(), 200, headers, "text/csv; charset=utf-8")


def _outcome(text: str | None) -> Outcome | None:
    if text is None:
        return None
    if text not in {"0", "4", "8"}:
        raise Malformed("outcome is 0 (success), 4 (refused) or 8 (failed).")
    return Outcome(int(text))


def _before(text: str | None) -> tuple[Micros, EntryId] | None:
    if text is None:
        return None
    at, _, id_ = text.partition(".")
    if not at.isdigit() or not is_uuid(id_):
        raise Malformed("`before` is the `next` of the page before.")
    return Micros(int(at)), EntryId(id_)


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), 200, None, "application/json")
