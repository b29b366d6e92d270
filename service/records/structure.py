"""Structure: types, unknown elements, formats and codes of one resource, by JSON schema.

A schema is built from the element table and compiled when its type is first met. What stands in
`contained`, an entry or a parameter is left open: each of those (see `parts`) meets its own.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema_rs import Draft7Validator, ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from service.errors import Issue
from service.records import elements
from service.records.elements import NESTED
from service.records.paths import Place, expression

CAP = 50
OPEN = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {"resourceType": {"type": "string"}},
}


@cache
def validator(kind: str) -> Draft7Validator:
    """The compiled schema of a resource type; about 20 ms the first time."""
    definitions: dict[str, Any] = {NESTED: OPEN}
    waiting = [kind, "Element"]
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            facts = elements.primitives().get(name)
            definitions[name] = facts or _object(elements.types()[name])
            waiting += [] if facts else [f["type"] for f in elements.types()[name].values()]
    root = definitions.pop(kind)
    root["properties"]["resourceType"] = {"const": kind}
    root["required"] = ["resourceType"]
    return Draft7Validator({"definitions": definitions} | root)


def faults(resource: dict[str, Any], kind: str, place: Place) -> Iterator[Issue]:
    """What the schema of `kind` finds wrong with one resource at `place`."""
    compiled = validator(kind)
    if compiled.is_valid(resource):
        return
    for number, error in enumerate(compiled.iter_errors(resource)):
        if number == CAP:
            return
        yield _issue(error, place, kind)


def _object(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, fact in facts.items():
        many = fact.get("many", False)
        primitive = fact["type"] in elements.primitives()
        one: dict[str, Any] = {"$ref": f"#/definitions/{fact['type']}"}
        if primitive and fact.get("codes"):
            one = {"enum": list(elements.plain_codes(fact["codes"]))}
        properties[name] = _array(one, nullable=primitive) if many else one
        if primitive and name != "id":
            beside: dict[str, Any] = {"$ref": "#/definitions/Element"}
            properties[f"_{name}"] = _array(beside, nullable=True) if many else beside
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "minProperties": 1,
    }


def _array(items: dict[str, Any], *, nullable: bool) -> dict[str, Any]:
    one = {"anyOf": [items, {"type": "null"}]} if nullable else items
    return {"type": "array", "items": one, "minItems": 1}


def _issue(error: ValidationError, place: Place, kind: str) -> Issue:
    where = expression(place, error.instance_path, kind)
    match error.kind:
        case Kind.AdditionalProperties():
            return Issue("structure", "An element is not known here.", where)
        case Kind.Type():
            return Issue("structure", "The JSON type is wrong for this element.", where)
        case Kind.Enum():
            return Issue("code-invalid", "The code is not in the required value set.", where)
        case Kind.Required():
            return Issue("required", "resourceType is missing.", where)
        case _:
            return Issue("value", "The value does not have the form of its type.", where)
