"""FHIR's invariants for the types we keep, written out by hand: key, rule, fault.

Each function gets one element of its type, already known to be well-formed, and yields what is
wrong as (FHIRPath below it, message). Invariants about a whole resource stand in `survey`.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from service.records import bundle, questionnaire

Fault = tuple[str, str]
Rule = Callable[[dict[str, Any]], Iterator[Fault]]
Fields = dict[str, Any]
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
UCUM = "http://unitsofmeasure.org"
DATE = 10


def has(value: Fields, choice: str) -> bool:
    """True if any form of `choice`[x] is there."""
    return any(name.lstrip("_").startswith(choice) for name in value)


def coded(concept: Fields | None, system: str, *wanted: str) -> bool:
    """True if the concept has a coding of `system` among the wanted codes."""
    return any(
        coding.get("system") == system and coding.get("code") in wanted
        for coding in (concept or {}).get("coding", ())
    )


def after(start: str, end: str) -> bool:
    """True if `start` is certainly later than `end`, whatever the finer digits."""
    if "T" in start and "T" in end:
        try:
            return datetime.fromisoformat(start) > datetime.fromisoformat(end)
        except ValueError:  # a leap second; the models judge real dates
            return False
    shared = min(len(start), len(end), DATE)
    return start[:shared] > end[:shared]


def extension(value: Fields) -> Iterator[Fault]:
    if ("extension" in value) == has(value, "value"):
        yield "", "ext-1: an extension has either a value or extensions, not both."


def period(value: Fields) -> Iterator[Fault]:
    if "start" in value and "end" in value and after(value["start"], value["end"]):
        yield "", "per-1: the start is not after the end."


def quantity(value: Fields) -> Iterator[Fault]:
    if "code" in value and "system" not in value:
        yield "", "qty-3: a coded unit names its system."


def age(value: Fields) -> Iterator[Fault]:
    yield from quantity(value)
    if value.get("system", UCUM) != UCUM or ("value" in value and "code" not in value):
        yield "", "age-1: an age has a UCUM code."
    elif value.get("value", 1) <= 0:
        yield "", "age-1: an age is positive."


def duration(value: Fields) -> Iterator[Fault]:
    yield from quantity(value)
    if "code" in value and (value.get("system") != UCUM or "value" not in value):
        yield "", "drt-1: a coded duration is in UCUM and has a value."


def span(value: Fields) -> Iterator[Fault]:
    low, high = value.get("low", {}), value.get("high", {})
    comparable = low.get("code") == high.get("code") and low.get("unit") == high.get("unit")
    if comparable and "value" in low and "value" in high and low["value"] > high["value"]:
        yield "", "rng-2: the low is not above the high."


def ratio(value: Fields) -> Iterator[Fault]:
    if ("numerator" in value) != ("denominator" in value):
        yield "", "rat-1: a ratio has both parts or neither."
    elif "numerator" not in value and "extension" not in value:
        yield "", "rat-1: a ratio has its parts or an extension."


def attachment(value: Fields) -> Iterator[Fault]:
    if "data" in value and "contentType" not in value:
        yield "", "att-1: data has a contentType."


def contact(value: Fields) -> Iterator[Fault]:
    if "value" in value and "system" not in value:
        yield "", "cpt-2: a contact value has a system."


def repeat(value: Fields) -> Iterator[Fault]:
    needs = (
        ("tim-1", "duration", "durationUnit"), ("tim-2", "period", "periodUnit"),
        ("tim-6", "periodMax", "period"), ("tim-7", "durationMax", "duration"),
        ("tim-8", "countMax", "count"), ("tim-9", "offset", "when"),
    )  # fmt: skip
    for key, one, other in needs:
        if one in value and other not in value:
            yield "", f"{key}: {one} needs {other}."
    for key, name in (("tim-4", "duration"), ("tim-5", "period")):
        if value.get(name, Decimal(0)) < 0:
            yield "", f"{key}: {name} is not negative."
    if "timeOfDay" in value and "when" in value:
        yield "", "tim-10: timeOfDay and when exclude each other."


def careteam_participant(value: Fields) -> Iterator[Fault]:
    # ctm-1 as far as a literal reference tells.
    member = value.get("member", {}).get("reference", "")
    literal = "/" in member and not member.startswith(("urn:", "#"))
    if "onBehalfOf" in value and literal and "Practitioner/" not in member:
        yield "onBehalfOf", "ctm-1: only a Practitioner acts on behalf of an Organization."


def careplan_activity(value: Fields) -> Iterator[Fault]:
    if "detail" in value and "reference" in value:
        yield "", "cpl-3: detail and reference exclude each other."


def condition(value: Fields) -> Iterator[Fault]:
    clinical = value.get("clinicalStatus")
    if has(value, "abatement") and not coded(
        clinical, CLINICAL, "resolved", "remission", "inactive"
    ):
        yield "", "con-4: an abated condition is resolved, in remission or inactive."
    wrong = coded(value.get("verificationStatus"), VERIFICATION, "entered-in-error")
    if wrong and clinical is not None:
        yield "", "con-5: a condition entered in error has no clinicalStatus."


def condition_stage(value: Fields) -> Iterator[Fault]:
    if "summary" not in value and "assessment" not in value:
        yield "", "con-1: a stage has a summary or an assessment."


def condition_evidence(value: Fields) -> Iterator[Fault]:
    if "code" not in value and "detail" not in value:
        yield "", "con-2: evidence has a code or a detail."


def consent(value: Fields) -> Iterator[Fault]:
    if "policy" not in value and "policyRule" not in value:
        yield "", "ppc-1: a consent has a policy or a policyRule."


def goal_target(value: Fields) -> Iterator[Fault]:
    if has(value, "detail") and "measure" not in value:
        yield "", "gol-1: a target detail has a measure."


def group(value: Fields) -> Iterator[Fault]:
    if "member" in value and value.get("actual") is not True:
        yield "", "grp-1: only an actual group has members."


def observation(value: Fields) -> Iterator[Fault]:
    if not has(value, "value"):
        return
    if "dataAbsentReason" in value:
        yield "", "obs-6: a value and a dataAbsentReason exclude each other."
    own = _codings(value.get("code", {}))
    if any(own & _codings(part.get("code", {})) for part in value.get("component", ())):
        yield "", "obs-7: no component repeats the code that has the value."


def _codings(concept: Fields) -> set[tuple[str | None, str | None]]:
    return {(c.get("system"), c.get("code")) for c in concept.get("coding", ()) if "code" in c}


def observation_range(value: Fields) -> Iterator[Fault]:
    if not {"low", "high", "text"} & value.keys():
        yield "", "obs-3: a reference range has a low, a high or a text."


def organization(value: Fields) -> Iterator[Fault]:
    if "identifier" not in value and "name" not in value and "_name" not in value:
        yield "", "org-1: an organization has an identifier or a name."
    if any(address.get("use") == "home" for address in value.get("address", ())):
        yield "address", "org-2: an organization has no home address."
    if any(point.get("use") == "home" for point in value.get("telecom", ())):
        yield "telecom", "org-3: an organization has no home telephone."


def patient_contact(value: Fields) -> Iterator[Fault]:
    if not {"name", "telecom", "address", "organization"} & value.keys():
        yield "", "pat-1: a contact has a name, telecom, address or organization."


def service_request(value: Fields) -> Iterator[Fault]:
    if "orderDetail" in value and "code" not in value:
        yield "", "prr-1: orderDetail needs a code."


def task(value: Fields) -> Iterator[Fault]:
    authored, modified = value.get("authoredOn"), value.get("lastModified")
    if authored and modified and after(authored, modified):
        yield "", "inv-1: lastModified is not before authoredOn."


def audit_entity(value: Fields) -> Iterator[Fault]:
    if "name" in value and "query" in value:
        yield "", "sev-1: name and query exclude each other."


def response_item(value: Fields) -> Iterator[Fault]:
    if "answer" in value and "item" in value:
        yield "", "qrs-1: an item has answers or items, not both."


def parameter(value: Fields) -> Iterator[Fault]:
    filled = [has(value, "value"), "resource" in value, "part" in value]
    if filled.count(True) != 1:
        yield "", "inv-1: a parameter has one of value, resource and part."


INVARIANTS: Mapping[str, Rule] = MappingProxyType(
    {
        "Age": age, "Attachment": attachment, "AuditEvent.entity": audit_entity,
        "Bundle": bundle.bundle, "Bundle.entry": bundle.entry,
        "CarePlan.activity": careplan_activity, "CareTeam.participant": careteam_participant,
        "Condition": condition, "Condition.evidence": condition_evidence,
        "Condition.stage": condition_stage, "Consent": consent, "ContactPoint": contact,
        "Count": quantity, "Distance": quantity, "Duration": duration, "Extension": extension,
        "Goal.target": goal_target, "Group": group, "Observation": observation,
        "Observation.referenceRange": observation_range, "Organization": organization,
        "Parameters.parameter": parameter, "Patient.contact": patient_contact, "Period": period,
        "Quantity": quantity, "Questionnaire": questionnaire.questionnaire,
        "Questionnaire.item": questionnaire.item,
        "Questionnaire.item.enableWhen": questionnaire.enable_when,
        "QuestionnaireResponse.item": response_item, "Range": span,
        "Ratio": ratio, "ServiceRequest": service_request, "Task": task, "Timing.repeat": repeat,
    }
)  # fmt: skip
