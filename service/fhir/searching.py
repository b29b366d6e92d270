"""search-type by GET and by POST _search (R4 http.html#search); page links carry a sealed token."""

from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Request, Response
from fastapi.routing import APIRouter

from service.access.enforce import Access
from service.errors import Issue, Malformed, UnsupportedMedia
from service.fhir import audit_events, bundle, notice
from service.fhir.answers import base_of, demand_json_answer
from service.fhir.described import FORM as FORM_BODY
from service.fhir.reading import demand
from service.vocabulary import Action, Purpose
from service.web import FHIR_JSON, Body, Caller, Claimed, Gate, operation_outcome

router = APIRouter()
FORM = "application/x-www-form-urlencoded"
Parameters = list[tuple[str, str]]


async def form(request: Request, body: Body) -> Parameters:
    """Parameters of a POST search: those of the address and those of the form, together."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM:
        raise UnsupportedMedia(f"Send {FORM}.")
    try:
        text = body.decode("ascii")
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=200, errors="strict")
    except ValueError:
        raise Malformed("The form cannot be read.") from None
    return [*request.query_params.multi_items(), *fields]


@router.get("/{type_}")
def search(
    request: Request, type_: str, caller: Caller, access: Gate, purpose: Claimed
) -> Response:
    return _search(request, type_, request.query_params.multi_items(), caller, access, purpose)


@router.post("/{type_}/_search", openapi_extra=FORM_BODY)
def post_search(
    request: Request, type_: str, caller: Caller,
    parameters: Annotated[Parameters, Depends(form)], access: Gate, purpose: Claimed,
) -> Response:  # fmt: skip
    return _search(request, type_, parameters, caller, access, purpose)


def _search(
    request: Request, type_: str, parameters: Parameters, caller: Caller, access: Access,
    purpose: Purpose | None,
) -> Response:  # fmt: skip
    demand(type_, "search-type")
    demand_json_answer(request)
    if type_ == "AuditEvent":
        return audit_events.search(request, parameters, caller, access, purpose)
    base = base_of(request)
    lenient = "handling=lenient" in request.headers.get("prefer", "")
    with access.permit(Action.SEARCH, caller, type=type_, purpose=purpose) as act:
        asked = act.asked(type_, parameters, base=base, lenient=lenient)
        page = act.search(asked)
        due = notice.due(act)
    links = [bundle.Link("self", f"{base}/{type_}?{urlencode(asked.asked)}")]
    if page.next:
        links.append(bundle.Link("next", f"{base}/{type_}?_page={page.next}"))
    ignored = [
        Issue("not-supported", "A parameter was not understood and has been ignored.")
        for _ in asked.ignored
    ]
    body = bundle.searchset(
        base, page.stored, page.included, total=page.total, links=links, notice=due,
        outcome=operation_outcome(*ignored, severity="warning") if ignored else None,
    )  # fmt: skip
    return Response(body, 200, None, FHIR_JSON)
