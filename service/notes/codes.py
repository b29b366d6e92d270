"""Codes a session is written with, as data (domain reference, sections 9 and 10).

No code here says more than the participant consented to: service type 552 (drug and alcohol
support groups) and the modifier HF would reveal a condition and are not used in a header.
"""

from typing import Any

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
SERVICE_TYPE = "http://terminology.hl7.org/CodeSystem/service-type"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
COMPLETION = "http://terminology.hl7.org/CodeSystem/v3-DocumentCompletion"
AGENT_TYPE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
US_CORE_AGENT = "http://hl7.org/fhir/us/core/CodeSystem/us-core-provenance-participant-type"
CLINICAL_NOTE = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"
ACHIEVEMENT = "http://terminology.hl7.org/CodeSystem/goal-achievement"
COMMUNICATION_MEDIUM = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"
SIGNATURE_TYPE = "urn:iso-astm:E1762-95:2013"
UCUM = "http://unitsofmeasure.org"
TASK_CODE = "urn:peernotes:task"
ATTEMPT_OUTCOME = "urn:peernotes:attempt-outcome"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
US_CORE_ENCOUNTER = f"{US_CORE}us-core-encounter"
US_CORE_DOCUMENT = f"{US_CORE}us-core-documentreference"
US_CORE_PROVENANCE = f"{US_CORE}us-core-provenance"

MODALITIES = frozenset({"in_person", "phone", "video", "online_text"})
PLACES = frozenset({"site", "home", "community", "street", "emergency_department", "other"})
AGREEMENTS = frozenset({"agreed", "agreed_with_comment", "disagreed", "not_shown"})
AUDIENCES = frozenset({"team", "private"})
PROGRESS = frozenset(
    {"in-progress", "improving", "no-change", "worsening", "achieved", "sustaining"}
)
SERVICES = {
    "one_to_one": ("553", "1-1 Support /Community Educ."),
    "support_group": ("224", "Support Groups"),
    "telephone_help": ("539", "Telephone Help/Counselling"),
    "outreach": ("398", "Outreach Service"),
    "self_help": ("435", "Self Help"),
}
MEDIA = {"phone": "PHONE", "video": "VIDEOCONF", "in_person": "FACE", "text": "SMSWRIT"}
ATTEMPTS = {
    "left_message": "Left a message",
    "no_answer": "No answer",
    "wrong_number": "Wrong number",
    "declined": "Declined",
    "no_show": "Did not attend",
    "cancelled_by_person": "Cancelled by the person",
    "cancelled_by_us": "Cancelled by us",
    "reached": "Reached",
}


def concept(system: str, code: str, display: str | None = None, text: str | None = None) -> Any:  # noqa: ANN401 (a FHIR element)
    coding = {"system": system, "code": code} | ({"display": display} if display else {})
    return {"coding": [coding]} | ({"text": text} if text else {})


def uuid_identifier(id_: str) -> dict[str, str]:
    return {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{id_}"}


def encounter_class(modality: str, place: str) -> dict[str, str]:
    """AMB on site, HH at home, FLD street or community, VR by phone, video or text."""
    if modality != "in_person":
        code, display = "VR", "virtual"
    elif place == "home":
        code, display = "HH", "home health"
    elif place in ("street", "community"):
        code, display = "FLD", "field"
    elif place == "emergency_department":
        code, display = "EMER", "emergency"
    else:
        code, display = "AMB", "ambulatory"
    return {"system": ACT_CODE, "code": code, "display": display}


def encounter_type(modality: str) -> Any:  # noqa: ANN401 (a FHIR element)
    """US Core binds Encounter.type to SNOMED and CPT, so HCPCS stands second, never alone."""
    if modality == "phone":
        first = {"system": SNOMED, "code": "185317003", "display": "Telephone encounter"}
    else:
        first = {"system": SNOMED, "code": "308335008", "display": "Patient encounter procedure"}
    second = {"system": HCPCS, "code": "H0038"}
    return {"coding": [first, second], "text": "Peer support session"}
