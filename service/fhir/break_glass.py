"""Patient/[id]/$break-glass: emergency access, declared first (42 CFR 2.51; privacy, section 6).

Answers alike whether or not the participant exists or anything of theirs is hidden. Who declared,
why, for which facility and since when is kept sealed in the record, as 2.51(c) asks; the reads that
follow carry purpose BTG and are entries of their own.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.routing import APIRouter

from service.errors import Issue, Malformed
from service.fhir.answers import demand_json_body
from service.fhir.described import BODY
from service.records import glass
from service.records.document import parse
from service.vocabulary import Action, Micros, PatientId, Purpose, is_id
from service.web import FHIR_JSON, Body, Caller, Gate

router = APIRouter()
MINUTE = 60_000_000
LONGEST_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Declaration:
    """What 2.51 wants said: why, to which facility, and that consent cannot be obtained."""

    reason: str
    facility: str
    minutes: int


@router.post("/Patient/{id_}/$break-glass", openapi_extra=BODY)
def break_glass(request: Request, id_: str, caller: Caller, body: Body, access: Gate) -> Response:
    demand_json_body(request)
    if not is_id(id_):
        raise Malformed("A participant is named by the id of their Patient.")
    declared = _declaration(parse(body))
    patient = PatientId(id_)
    with access.permit(
        Action.BREAK_GLASS, caller, type="Patient", id=id_, patient=patient, purpose=Purpose.BTG
    ) as act:
        until = Micros(act.at + declared.minutes * MINUTE)
        record = {
            "reason": declared.reason,
            "facility": declared.facility,
            "organisation": act.caller.organisation,
            "practitioner": act.caller.practitioner,
        }
        grant = glass.open_grant(
            act.connection, act.keyring, patient=patient, principal=act.caller.principal,
            at=act.at, until=until, record=msgspec.json.encode(record),
        )  # fmt: skip
    answer = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "grant", "valueId": grant},
            {"name": "minutes", "valueInteger": declared.minutes},
        ],
    }
    return Response(msgspec.json.encode(answer), 200, None, FHIR_JSON)


def _declaration(resource: dict[str, Any]) -> Declaration:
    if resource.get("resourceType") != "Parameters":
        raise Malformed("The body is a Parameters resource.")
    given = {each.get("name"): each for each in resource.get("parameter", [])}
    if given.get("consentCannotBeObtained", {}).get("valueBoolean") is not True:
        raise _missing("consentCannotBeObtained", "true: prior consent cannot be obtained")
    minutes = given.get("minutes", {}).get("valueInteger", 60)
    if not isinstance(minutes, int) or not 0 < minutes <= 60:  # noqa: PLR2004 (an hour)
        raise _missing("minutes", "a whole number from 1 to 60")
    return Declaration(_text(given, "reason"), _text(given, "facility"), minutes)


def _text(given: dict[Any, dict[str, Any]], name: str) -> str:
    value = given.get(name, {}).get("valueString")
    if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST_TEXT:
        raise _missing(name, f"a text of at most {LONGEST_TEXT} characters")
    return value


def _missing(name: str, wanted: str) -> Malformed:
    text = f"`{name}` is {wanted}."
    return Malformed(text, Issue("required", text, f"Parameters.parameter.where(name='{name}')"))
