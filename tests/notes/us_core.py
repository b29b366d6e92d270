"""What US Core 6.1 asks of the three profiles that we claim, by hand.

Mandatory elements, mandatory choice of target types, and the profiles' own invariants, read from
https://hl7.org/fhir/us/core/STU6.1/: us-core-encounter, us-core-documentreference (us-core-6),
us-core-provenance (provenance-1).
"""

import re
from typing import Any

Json = dict[str, Any]

BASE = "http://hl7.org/fhir/us/core/StructureDefinition/"
PROFILES = {
    "Encounter": f"{BASE}us-core-encounter",
    "DocumentReference": f"{BASE}us-core-documentreference",
    "Provenance": f"{BASE}us-core-provenance",
}
STAFF = ("Practitioner", "PractitionerRole", "RelatedPerson")


def demand(record: Json) -> None:
    """A record of the three types claims its profile and keeps it; the others claim none."""
    claimed = record.get("meta", {}).get("profile", [])
    expected = PROFILES.get(record["resourceType"])
    assert claimed == ([expected] if expected else [])
    match record["resourceType"]:
        case "Encounter":
            encounter(record)
        case "DocumentReference":
            document(record)
        case "Provenance":
            provenance(record)


def refers(value: Json, *types: str) -> None:
    reference = value.get("reference")
    named = str(reference).split("/", maxsplit=1)[0] if reference else value.get("type")
    assert named in types, f"{named} is not a target"


def coded(concept: Json, *systems: str) -> None:
    assert {coding["system"] for coding in concept["coding"]} & set(systems)


def encounter(record: Json) -> None:
    assert {"status", "class", "type", "subject"} <= record.keys()
    for kind in record["type"]:
        coded(kind, "http://snomed.info/sct", "http://www.ama-assn.org/go/cpt")
    refers(record["subject"], "Patient")
    for identifier in record.get("identifier", []):
        assert {"system", "value"} <= identifier.keys()
    for involved in record.get("participant", []):
        refers(involved["individual"], *STAFF)


def document(record: Json) -> None:
    assert {"status", "type", "category", "subject", "content"} <= record.keys()
    coded(record["type"], "http://loinc.org")
    assert any(
        coding == {
            "system": f"{BASE.removesuffix('StructureDefinition/')}CodeSystem/"
            "us-core-documentreference-category",
            "code": "clinical-note",
            "display": "Clinical Note",
        }
        for category in record["category"]
        for coding in category["coding"]
    )  # fmt: skip
    refers(record["subject"], "Patient")
    for author in record["author"]:
        refers(author, *STAFF, "Organization", "Patient")
    for content in record["content"]:
        attachment = content["attachment"]
        assert "url" in attachment or "data" in attachment  # us-core-6
        assert re.match(r"[a-z]+/[a-z]+", attachment["contentType"])
    assert len(record["context"].get("encounter", [])) <= 1


def provenance(record: Json) -> None:
    assert record["target"]
    assert record["recorded"]
    assert record["agent"]
    transmitters = 0
    for agent in record["agent"]:
        kinds = {coding["code"] for coding in agent["type"]["coding"]}
        transmitters += "transmitter" in kinds
        refers(agent["who"], *STAFF, "Patient", "Device", "Organization")
        named = agent["who"].get("reference", agent["who"].get("type", ""))
        if named.startswith(("Practitioner/", "Device")):  # provenance-1
            refers(agent["onBehalfOf"], "Organization")
    assert transmitters <= 1
