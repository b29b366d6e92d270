"""Pieces of an AuditEvent: who took part, and what it was about (audit/balp.py joins them)."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from service.audit.entry import Entry, Touched
from service.vocabulary import Micros

Json = dict[str, Any]

CODES = "https://profiles.ihe.net/ITI/BALP/CodeSystem/"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
TYPES = "http://hl7.org/fhir/resource-types"
APPLICATION, DESTINATION, SOURCE = "110150", "110152", "110153"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def client(entry: Entry, code: str) -> Json:
    """The app, known by its OAuth client id; where it connected from is not for the ledger."""
    name = entry.client or "unknown"
    return {
        "type": concept(DCM, code),
        "who": {"identifier": {"value": name}},
        "requestor": False,
        "network": {"address": name, "type": "1"},
    }


def machine(device: Json, base_url: str, system: str, code: str) -> Json:
    return {
        "type": concept(system, code),
        "who": device,
        "requestor": False,
        "network": {"address": base_url, "type": "5"},
    }


def user(entry: Entry, base_url: str, code: str) -> list[Json]:
    if not entry.agent:
        return []
    who: Json = {
        "type": concept(TERMINOLOGY + "v3-ParticipationType", code),
        "who": {"identifier": {"system": f"{base_url}/principal", "value": entry.agent}},
        "requestor": True,
    }
    if entry.role:
        who["role"] = [concept(f"{base_url}/role", entry.role)]
    if entry.basis and not entry.basis.startswith("consent:"):
        who["policy"] = [f"{base_url}/basis/{entry.basis}"]
    return [who]


def patient(entry: Entry) -> list[Json]:
    if entry.patient is None:
        return []
    person = coding(TERMINOLOGY + "audit-entity-type", "1")
    role = coding(TERMINOLOGY + "object-role", "1")
    return [{"type": person, "role": role, "what": {"reference": f"Patient/{entry.patient}"}}]


def data(touched: tuple[Touched, ...]) -> list[Json]:
    entities = []
    for number, record in enumerate(touched):
        entity: Json = {
            "type": coding(TYPES, record.type)
            if number
            else coding(TERMINOLOGY + "audit-entity-type", "2"),
            "role": coding(TERMINOLOGY + "object-role", "4"),
            "what": {"reference": f"{record.type}/{record.id}/_history/{record.version}"},
        }
        if record.digest is not None:
            digest = {"type": "sealed-sha256", "valueBase64Binary": base64(record.digest)}
            entity["detail"] = [digest]
        entities.append(entity)
    return entities


def query(entry: Entry, base_url: str) -> Json:
    """The request, normalised by the gate: values other than ids and paging are `~`."""
    asked = dict(entry.details).get("query") or f"GET {base_url}/{entry.resource_type}"
    return {
        "type": coding(TERMINOLOGY + "audit-entity-type", "2"),
        "role": coding(TERMINOLOGY + "object-role", "24"),
        "query": base64(str(asked).encode()),
    }


def basis(entry: Entry) -> list[Json]:
    kind, _, consent = entry.basis.partition(":")
    if kind != "consent" or not consent:
        return []
    return [{"type": coding(TYPES, "Consent"), "what": {"reference": f"Consent/{consent}"}}]


def request(entry: Entry) -> Json:
    """What happened in one request has one act id."""
    identifier = {"identifier": {"value": entry.act}}
    return {"type": coding(CODES + "BasicAuditEntityType", "XrequestId"), "what": identifier}


def instant(at: Micros) -> str:
    return (_EPOCH + timedelta(microseconds=at)).isoformat(timespec="microseconds")[:-6] + "Z"


def coding(system: str, code: str) -> Json:
    return {"system": system, "code": code}


def concept(system: str, code: str) -> Json:
    return {"coding": [coding(system, code)]}


def base64(data: bytes) -> str:
    return b64encode(data).decode()
