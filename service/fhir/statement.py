"""The CapabilityStatement and the SMART configuration: open documents, generated from the tables
that route and search use (R4 http.html#capabilities).
"""

import hashlib
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRouter

from service.fhir import audit_events
from service.fhir.answers import base_of
from service.fhir.capabilities import CAPABILITIES, Capability
from service.records.canonicals import definition
from service.records.parameters import PARAMETERS
from service.web import FHIR_JSON

router = APIRouter()
OPEN = {"access-control-allow-origin": "*"}
OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"


@router.get("/metadata")
def metadata(request: Request) -> Response:
    content = msgspec.json.encode(statement(base_of(request)))
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = OPEN | {"etag": etag, "cache-control": "max-age=300"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, 200, headers, FHIR_JSON)


@router.get("/.well-known/smart-configuration", response_class=JSONResponse)
def smart(request: Request) -> Response:
    return Response(msgspec.json.encode(request.app.state.smart), 200, OPEN, "application/json")


def statement(base: str) -> dict[str, Any]:
    oauth = base.removesuffix("/fhir") + "/oauth"
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-11-24",
        "kind": "instance",
        "software": {"name": "peernotes", "version": "0.1.0"},
        "implementation": {"description": "Case notes of peer specialists", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "security": {
                    "cors": False,
                    "service": [
                        {"coding": [{"system": SECURITY_SERVICE, "code": "SMART-on-FHIR"}]}
                    ],
                    "extension": [
                        {
                            "url": OAUTH_URIS,
                            "extension": [{"url": "token", "valueUri": f"{oauth}/token"}],
                        }
                    ],
                    "description": "SMART Backend Services (private_key_jwt); staff sign in with"
                    " password and one-time code. What a caller may not see answers as absent.",
                },
                "resource": [
                    _resource(type_, capability)
                    for type_, capability in sorted(CAPABILITIES.items())
                ],
            }
        ],
    }


def _resource(type_: str, capability: Capability) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": type_,
        "interaction": [{"code": code} for code in capability.interactions],
        "versioning": "versioned-update" if capability.if_match else "versioned",
        "readHistory": "vread" in capability.interactions,
        "updateCreate": "update" in capability.interactions,
        "conditionalCreate": False,
        "conditionalRead": "not-match",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "enforced"],
    }
    if capability.includes:
        described["searchInclude"] = list(capability.includes)
    if capability.revincludes:
        described["searchRevInclude"] = list(capability.revincludes)
    if capability.allows("search-type"):
        described["searchParam"] = _parameters(type_)
    return described


def _parameters(type_: str) -> list[dict[str, str]]:
    if type_ == "AuditEvent":
        return [{"name": name, "type": kind} for name, kind in audit_events.PARAMETERS.items()]
    return [
        {
            "name": parameter.name,
            "type": parameter.kind.value,
            "definition": definition(type_, parameter),
        }
        for parameter in PARAMETERS[type_].values()
    ]
