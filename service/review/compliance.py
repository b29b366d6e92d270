"""The log's door: entries, proofs, leaves, break-glass. Reading the log is itself in the log.

A compliance officer reads all of it; a participant what is about their own record ("who looked").
"""

from datetime import timedelta
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.audit import search
from service.audit.balp import render
from service.audit.entry import Entry, Kind, Outcome
from service.errors import Absent, Malformed
from service.records import glass
from service.review.requests import (
    instant_of,
    is_uuid,
    json_of,
    micros,
    one_of,
    only,
    page_of,
    place_of,
    uuid_of,
)
from service.vocabulary import Action, EntryId, Micros, PatientId
from service.web import Caller, Gate

router = APIRouter(prefix="/review", tags=["review"])
YEAR = timedelta(days=366) // timedelta(microseconds=1)
FILTERS = frozenset(
    {"patient", "agent", "action", "kind", "outcome", "since", "until", "limit", "before"}
)


@router.get("/entries")
def entries(request: Request, caller: Caller, access: Gate) -> Response:
    """Entries, newest first. Filters: patient, agent, action, kind, outcome, since, until."""
    asked = request.query_params
    only(asked, FILTERS)
    criteria = search.Criteria(
        patient=PatientId(uuid_of(asked, "patient")) if "patient" in asked else None,
        agent=uuid_of(asked, "agent") if "agent" in asked else None,
        action=one_of(asked, "action", Action),
        kind=one_of(asked, "kind", Kind),
        outcome=_outcome(asked.get("outcome")),
        since=micros(asked, "since"),
        until=micros(asked, "until"),
        limit=page_of(asked, most=1000),
        before=place_of(asked, "before"),
    )
    with access.permit(
        Action.AUDIT_SEARCH, caller, type="AuditEvent", patient=criteria.patient
    ) as act:
        found = act.log.find(criteria)
    rows = [_row(each.entry, each.seq) for each in found]
    following = None
    if len(found) == criteria.limit:
        last = found[-1].entry
        following = f"{last.at}.{last.id}"
    return json_of({"entries": rows, "next": following})


@router.get("/entries/{id_}")
def entry(request: Request, id_: str, caller: Caller, access: Gate) -> Response:
    """The leaf, its proof under the newest checkpoint, and the leaf rendered as an AuditEvent."""
    with access.permit(Action.AUDIT_PROOF, caller, type="AuditEvent", id=id_) as act:
        found = act.log.by_id(EntryId(id_)) if is_uuid(id_) else None
        if found is None:
            raise Absent("There is no such entry.")
        leaf = search.leaf(act.connection, found.entry.id)
        proof = search.proof(act.connection, found.entry.id)
    event = render(
        found.entry, base_url=f"{request.app.state.settings.base_url}/fhir",
        observer=access.observer, position=found.position,
    )  # fmt: skip
    return json_of(
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


@router.get("/break-glass")
def break_glass(request: Request, caller: Caller, access: Gate) -> Response:
    """Declarations in force since `since` (a year by default): who, whose record, why."""
    only(request.query_params, {"since", "until"})
    with access.permit(Action.AUDIT_SEARCH, caller, type="AuditEvent") as act:
        until = micros(request.query_params, "until") or Micros(act.at + 1)
        since = micros(request.query_params, "since") or Micros(act.at - YEAR)
        declared: list[dict[str, Any]] = [
            {
                "id": grant.id,
                "patient": grant.patient,
                "principal": grant.principal,
                "from": instant_of(grant.lo),
                "until": instant_of(grant.hi),
                "record": msgspec.json.decode(grant.record) if grant.record else None,
            }
            for grant in glass.grants(act.connection, act.keyring, since, until)
            if act.log.own in (None, grant.patient)
        ]
        act.counted |= {PatientId(each["patient"]) for each in declared}
    return json_of({"declarations": declared})


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


def _outcome(text: str | None) -> Outcome | None:
    if text is None:
        return None
    if text not in {"0", "4", "8"}:
        raise Malformed("outcome is 0 (success), 4 (refused) or 8 (failed).")
    return Outcome(int(text))
