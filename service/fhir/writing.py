"""create, update and delete (R4 http.html#create, #update, #delete)."""

from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.errors import Issue, Malformed
from service.fhir.answers import demand_json_answer, demand_json_body, version_named, written
from service.fhir.described import BODY, CREATED
from service.fhir.reading import demand
from service.records.document import parse
from service.vocabulary import Action
from service.web import Body, Caller, Claimed, Gate

router = APIRouter()


@router.post("/{type_}", openapi_extra=BODY, responses=CREATED)
def create(
    request: Request, type_: str, caller: Caller, body: Body, access: Gate, purpose: Claimed
) -> Response:
    demand(type_, "create")
    demand_json_answer(request)
    demand_json_body(request)
    resource = _resource(type_, body)
    resource.pop("id", None)  # the server chooses (http.html#create)
    with access.permit(Action.CREATE, caller, type=type_, purpose=purpose) as act:
        result = act.submit(resource)
    return written(request, result, act.warnings)


@router.put("/{type_}/{id_}", openapi_extra=BODY, responses=CREATED)
def update(
    request: Request, type_: str, id_: str, caller: Caller, body: Body, access: Gate,
    purpose: Claimed,
) -> Response:  # fmt: skip
    demand(type_, "update")
    demand_json_answer(request)
    demand_json_body(request)
    resource = _resource(type_, body)
    if resource.get("id") != id_:
        issue = Issue("value", "The id in the body is the id in the address.", f"{type_}.id")
        raise Malformed("The id in the body is not the id in the address.", issue)
    if_match = version_named(request.headers.get("if-match"))
    with access.permit(Action.UPDATE, caller, type=type_, id=id_, purpose=purpose) as act:
        result = act.submit(resource, if_match=if_match)
    return written(request, result, act.warnings)


def _resource(type_: str, body: bytes) -> dict[str, Any]:
    resource = parse(body)
    if resource.get("resourceType") != type_:
        issue = Issue("value", "The body is not of the type in the address.", "resourceType")
        raise Malformed("The body is not of the type in the address.", issue)
    return resource
