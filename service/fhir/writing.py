"""create, update and delete (R4 http.html#create, #update, #delete)."""

from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.errors import Issue, Malformed
from service.fhir.answers import demand_json_answer, demand_json_body, version_named, written
from service.fhir.capabilities import CAPABILITIES
from service.fhir.reading import demand
from service.records.document import parse
from service.records.validate import validate
from service.vocabulary import Action, ResourceId
from service.web import Body, Caller, Claimed, Gate

router = APIRouter()


@router.post("/{type_}")
def create(
    request: Request, type_: str, body: Body, caller: Caller, access: Gate, purpose: Claimed
) -> Response:
    demand(type_, "create")
    demand_json_answer(request)
    demand_json_body(request)
    resource = _resource(type_, body)
    resource.pop("id", None)  # the server chooses (http.html#create)
    with access.permit(Action.CREATE, caller, type=type_, purpose=purpose) as act:
        result = act.create(resource)
    return written(request, result)


@router.put("/{type_}/{id_}")
def update(
    request: Request, type_: str, id_: str, body: Body, caller: Caller, access: Gate,
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
        if if_match is None and CAPABILITIES[type_].if_match:
            _demand_new(act.records.exists(type_, ResourceId(id_)))
        result = act.update(resource, if_match=if_match)
    return written(request, result)


def _demand_new(exists: bool) -> None:  # noqa: FBT001 (one question, one answer)
    if exists:
        raise Malformed("Updating this needs If-Match with the version that you changed.")


def _resource(type_: str, body: bytes) -> dict[str, object]:
    resource = parse(body)
    if resource.get("resourceType") != type_:
        issue = Issue("value", "The body is not of the type in the address.", "resourceType")
        raise Malformed("The body is not of the type in the address.", issue)
    validate(resource)
    return resource
