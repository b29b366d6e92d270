"""AuditEvent: the ledger as FHIR, rendered from its entries; read and search only (design D5)."""

import msgspec
from fastapi import Request, Response

from service.access.caller import Presented
from service.access.enforce import Access
from service.audit import search as ledger
from service.audit.balp import render
from service.audit.entry import Outcome
from service.errors import Absent, Issue, Malformed
from service.fhir import bundle
from service.fhir.answers import base_of
from service.records.stored import Stored
from service.records.values import Prefix, reference, span
from service.vocabulary import HOUSE, Action, EntryId, Micros, PatientId, Purpose, is_id
from service.web import FHIR_JSON

PARAMETERS = {
    "_id": "token",
    "patient": "reference",
    "agent": "reference",
    "outcome": "token",
    "date": "date",
}
KNOWN = {*PARAMETERS, "_count", "_before", "_format"}
MOST = 500
DIGITS = 18
"""Of an instant in microseconds: what a database keeps as a whole number."""
Parameters = list[tuple[str, str]]


def read(
    request: Request, id_: str, caller: Presented, access: Access, purpose: Purpose | None
) -> Response:
    with access.permit(
        Action.AUDIT_SEARCH, caller, type="AuditEvent", id=id_, purpose=purpose
    ) as act:
        found = act.log.by_id(EntryId(id_)) if is_id(id_) else None
        if found is None:
            raise Absent("There is no such entry.")
    return Response(_rendered(request, found).body, 200, None, FHIR_JSON)


def search(
    request: Request, parameters: Parameters, caller: Presented, access: Access,
    purpose: Purpose | None,
) -> Response:  # fmt: skip
    """Newest first. The ledger is asked by participant, agent, outcome and time."""
    criteria = _criteria(request, parameters, access.clock())
    with access.permit(
        Action.AUDIT_SEARCH, caller, type="AuditEvent", patient=criteria.patient, purpose=purpose
    ) as act:
        wanted = dict(parameters).get("_id")
        if wanted is not None:
            one = act.log.by_id(EntryId(wanted)) if is_id(wanted) else None
            found = [one] if one else []
        else:
            found = act.log.find(criteria)
    base = base_of(request)
    links = [bundle.Link("self", f"{base}/AuditEvent")]
    if len(found) == criteria.limit:
        last = found[-1].entry
        links.append(bundle.Link("next", _next(base, parameters, f"{last.at}.{last.id}")))
    rendered = [_rendered(request, each) for each in found]
    return Response(bundle.searchset(base, rendered, links=links), 200, None, FHIR_JSON)


def _next(base: str, parameters: Parameters, before: str) -> str:
    """Ids and codes only: nothing in this address is about a person but their random id."""
    kept = "&".join(f"{name}={value}" for name, value in parameters if name != "_before")
    return f"{base}/AuditEvent?{kept}{'&' if kept else ''}_before={before}"


def _criteria(request: Request, parameters: Parameters, at: Micros) -> ledger.Criteria:
    given = dict(parameters)
    for name in given:
        if name not in KNOWN:
            text = "AuditEvent is searched by patient, agent, outcome, date and _id."
            raise Malformed(text, Issue("not-supported", text, "AuditEvent"))
    if len(given) != len([name for name, _ in parameters if name != "date"]) + ("date" in given):
        raise Malformed("Only `date` may be given more than once.")
    since, until = _dates([value for name, value in parameters if name == "date"], request, at)
    count = given.get("_count", "50")
    if not count.isdecimal() or not 0 < int(count) <= MOST:
        raise Malformed(f"_count is a whole number from 1 to {MOST}.")
    if given.get("outcome", "0") not in {"0", "4", "8"}:
        raise Malformed("outcome is 0, 4 or 8.")
    return ledger.Criteria(
        patient=PatientId(_target(given["patient"], "Patient")) if "patient" in given else None,
        agent=_target(given["agent"], "Practitioner") if "agent" in given else None,
        outcome=Outcome(int(given["outcome"])) if "outcome" in given else None,
        since=since,
        until=until,
        limit=int(count),
        before=_before(given.get("_before")),
    )


def _target(text: str, type_: str) -> str:
    found = reference(text)
    if found is None or not is_id(found.id) or found.type not in (None, "", type_):
        raise Malformed(f"A reference here is {type_}/ID or ID.")
    return found.id


def _dates(texts: list[str], request: Request, at: Micros) -> tuple[Micros | None, Micros | None]:
    since: int | None = None
    until: int | None = None
    low: int | None
    high: int | None
    for text in texts:
        try:
            asked = span(text, request.app.state.settings.zone, at)
        except ValueError:
            raise Malformed("`date` is a date or an instant, with eq, ge, gt, le or lt.") from None
        match asked.prefix:
            case Prefix.EQ:
                low, high = asked.interval.lo, asked.interval.hi
            case Prefix.GE:
                low, high = asked.interval.lo, None
            case Prefix.GT | Prefix.SA:
                low, high = asked.interval.hi, None
            case Prefix.LE:
                low, high = None, asked.interval.hi
            case Prefix.LT | Prefix.EB:
                low, high = None, asked.interval.lo
            case _:
                raise Malformed("`date` takes eq, ge, gt, le, lt, sa and eb here.")
        since = low if since is None else since if low is None else max(since, low)
        until = high if until is None else until if high is None else min(until, high)
    return (
        None if since is None else Micros(since),
        None if until is None else Micros(until),
    )


def _before(text: str | None) -> tuple[Micros, EntryId] | None:
    if text is None:
        return None
    at, _, id_ = text.partition(".")
    if not at.isdecimal() or len(at) > DIGITS or not is_id(id_):
        raise Malformed("This page link is damaged; search again.")
    return Micros(int(at)), EntryId(id_)


def _rendered(request: Request, found: ledger.Found) -> Stored:
    settings = request.app.state.settings
    event = render(
        found.entry, base_url=f"{settings.base_url}/fhir",
        observer=request.app.state.access.observer, position=found.position,
    )  # fmt: skip
    entry = found.entry
    return Stored(
        "AuditEvent", entry.id, 1, entry.at, entry.patient or HOUSE, msgspec.json.encode(event)
    )
