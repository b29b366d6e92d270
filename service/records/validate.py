"""The pipeline of checks on every write, in the order of their cost.

1. Structure: JSON schemas derived from HL7's definitions, on the resource and each one inside it.
2. Survey: what a schema cannot say, from the same table, and invariants.
3. Models: fhir.resources, a second opinion on cardinality and the only one on real dates.
4. One participant: every Patient a resource names is the same.

Only a well-formed resource goes past 1. Messages name the element and the rule, never the value.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from pydantic import BaseModel, ValidationError

from service.errors import Invalid, Issue, Malformed
from service.records import elements, structure
from service.records.parts import Part, alone, parts
from service.records.paths import expression, spell
from service.records.references import BEYOND
from service.records.survey import Survey
from service.vocabulary import HOUSE_TYPES, STORED_TYPES

CAP = 50
RULE = "business-rule"
# The schema is the authority on names: the models refuse valueMeta and every _value[x] of an
# Extension, and want version 4 of UUIDs.
FALSE_ALARMS = frozenset({"extra_forbidden", "uuid_version"})
MISSING = frozenset({"missing", "model_field_validation.missing"})


def validate(resource: dict[str, Any]) -> None:
    """Malformed (400) if FHIR forbids it, Invalid (422) if only the house does; every Issue."""
    found = list(parts(resource))
    _judge(issue for part in found for issue in _structural(part))
    surveys = [(part, Survey(part)) for part in found]
    issues = [issue for _, survey in surveys for issue in survey.issues]
    issues += [issue for part in found for issue in _modelled(part)]
    issues += _one_patient(surveys)
    _judge(issues)


def prepare() -> None:
    """Compile every stored type before the first request: 0.3 s and the models' import."""
    for kind in STORED_TYPES:
        structure.validator(kind)
        _model(kind)


def _judge(issues: "Iterator[Issue] | list[Issue]") -> None:
    kept: dict[tuple[str, str | None], Issue] = {}
    for issue in issues:
        kept.setdefault((issue.code, issue.expression), issue)
        if len(kept) == CAP:
            break
    if not kept:
        return
    if all(issue.code == RULE for issue in kept.values()):
        raise Invalid("The resource breaks a rule of this house.", *kept.values())
    raise Malformed("The resource is not valid FHIR R4.", *kept.values())


def _structural(part: Part) -> Iterator[Issue]:
    if part.kind in elements.resources():
        yield from structure.faults(part.resource, part.kind, part.place)
    elif part.kind:
        yield Issue("not-supported", "This resource type is not known here.", spell(part.place))
    else:
        yield Issue("required", "resourceType is missing.", spell(part.place))


@cache
def _model(kind: str) -> type[BaseModel]:
    model: type[BaseModel] = get_fhir_model_class(kind)
    return model


def _modelled(part: Part) -> Iterator[Issue]:
    try:
        _model(part.kind).model_validate(alone(part.resource, part.kind))
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            if fault["type"] not in FALSE_ALARMS:
                where = expression(part.place, fault["loc"], part.kind)
                yield Issue(*_meaning(fault["type"]), where)


def _meaning(kind: str) -> tuple[str, str]:
    if kind in MISSING:
        return "required", "A mandatory element is missing."
    if kind.endswith("_type"):
        return "structure", "The JSON type is wrong for this element."
    return "value", "The value does not have the form of its type."


def _one_patient(surveys: list[tuple[Part, Survey]]) -> Iterator[Issue]:
    """Whatever stands in one stored resource is about one participant (privacy channel 83)."""
    owner: dict[int, str | None] = {}
    for part, survey in surveys:
        holder = part.container or part
        if holder.kind == "Patient" and holder is part:
            owner[id(holder)] = part.resource.get("id")
        for patient, place in survey.patients:
            where = spell(place)
            if BEYOND.fullmatch(where):
                continue
            if holder.kind in HOUSE_TYPES:
                yield Issue(RULE, "A record of the house names no participant.", where)
            elif owner.setdefault(id(holder), patient) not in {patient, None}:
                yield Issue(RULE, "A resource names one participant throughout.", where)
