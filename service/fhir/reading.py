"""read, vread and history of one resource (R4 http.html#read, #vread, #history)."""

from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.errors import Malformed, NotAllowed
from service.fhir import audit_events, binary, bundle, notice
from service.fhir.answers import base_of, demand_json_answer, one
from service.fhir.capabilities import CAPABILITIES
from service.records.store import LATEST
from service.vocabulary import Action
from service.web import FHIR_JSON, Caller, Claimed, Gate

router = APIRouter()
MOST_VERSIONS = 1000


def demand(type_: str, interaction: str) -> None:
    """404 for a type that we do not keep, 405 for an interaction that it does not have."""
    capability = CAPABILITIES.get(type_)
    if capability is None:
        raise NotAllowed("This resource type is not kept here: see /fhir/metadata.")
    if not capability.allows(interaction):
        raise NotAllowed(f"{type_} has no {interaction} here: see /fhir/metadata.")


def version(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004 (a version has no ten digits)
        raise Malformed("A version id is a whole number.")
    return int(text)


@router.head("/{type_}/{id_}", include_in_schema=False)
@router.get("/{type_}/{id_}")
def read(
    request: Request, type_: str, id_: str, caller: Caller, access: Gate, purpose: Claimed
) -> Response:
    demand(type_, "read")
    if type_ == "Binary":
        return binary.read(request, id_, caller, access, purpose)
    demand_json_answer(request)
    if type_ == "AuditEvent":
        return audit_events.read(request, id_, caller, access, purpose)
    with access.permit(Action.READ, caller, type=type_, id=id_, purpose=purpose) as act:
        stored = act.records.read(type_, id_)
        due = notice.due(act)
    return one(request, stored, due)


@router.get("/{type_}/{id_}/_history/{version_}")
def vread(
    request: Request, type_: str, id_: str, version_: str, caller: Caller, access: Gate,
    purpose: Claimed,
) -> Response:  # fmt: skip
    demand(type_, "vread")
    demand_json_answer(request)
    wanted = version(version_)
    with access.permit(Action.VREAD, caller, type=type_, id=id_, purpose=purpose) as act:
        stored = act.records.vread(type_, id_, wanted)
        due = notice.due(act)
    return one(request, stored, due)


@router.get("/{type_}/{id_}/_history")
def history(
    request: Request, type_: str, id_: str, caller: Caller, access: Gate, purpose: Claimed
) -> Response:
    demand(type_, "history-instance")
    demand_json_answer(request)
    count = request.query_params.get("_count", "50")
    if not count.isdecimal() or not 0 < int(count) <= MOST_VERSIONS:
        raise Malformed(f"_count is a whole number from 1 to {MOST_VERSIONS}.")
    before = request.query_params.get("_before")
    below = version(before) if before else LATEST
    with access.permit(Action.HISTORY, caller, type=type_, id=id_, purpose=purpose) as act:
        found = act.records.history(type_, id_, count=int(count) + 1, before=below)
        page = found[: int(count)]
        due = notice.due(act)
    base = base_of(request)
    here = f"{base}/{type_}/{id_}/_history?_count={count}"
    links = [bundle.Link("self", here)]
    if len(found) > len(page):
        links.append(bundle.Link("next", f"{here}&_before={page[-1].version}"))
    return Response(bundle.history(base, page, links=links, notice=due), 200, None, FHIR_JSON)
