"""What the FHIR routes say of themselves in OpenAPI: media types, bodies, outcomes."""

from typing import Any

from fastapi import Response

from service.web import FHIR_JSON

Described = dict[int | str, dict[str, Any]]


class FhirResponse(Response):
    """Names the media type of every answer; answers are made of bytes that are ready to send."""

    media_type = FHIR_JSON


RESOURCE: dict[str, Any] = {
    "type": "object",
    "properties": {"resourceType": {"type": "string"}},
    "required": ["resourceType"],
}
_CONTENT = {FHIR_JSON: {"schema": RESOURCE}}
OUTCOME = {"description": "An OperationOutcome", "content": _CONTENT}
ANSWERS: Described = {
    200: {"description": "The resource, or a Bundle of them", "content": _CONTENT},
    304: {"description": "If-None-Match names the version that is current"},
    "4XX": OUTCOME,
    "5XX": OUTCOME,
}
CREATED: Described = {201: {"description": "Stored as a new resource", "content": _CONTENT}}
BODY: dict[str, Any] = {"requestBody": {"required": True, "content": _CONTENT}}
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}},
    }
}
