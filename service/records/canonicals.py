"""The canonical URL of each search parameter, for the capability statement."""

from service.records.parameters import ADDRESS, GENDER, HL7, TELECOM, Parameter

_CLINICAL = {
    "code": {"Condition", "Observation", "ServiceRequest"},
    "date": {"CarePlan", "CareTeam", "Consent", "Encounter", "Flag", "Observation"},
    "encounter": {"DocumentReference", "Flag", "Observation", "ServiceRequest"},
    "identifier": {"CarePlan", "CareTeam", "Condition", "Consent", "DocumentReference",
                   "Encounter", "Goal", "Observation", "ServiceRequest"},
    "patient": {"CarePlan", "CareTeam", "Condition", "Consent", "DocumentReference", "Encounter",
                "Flag", "Goal", "Observation", "ServiceRequest"},
    "type": {"DocumentReference", "Encounter"},
}  # fmt: skip
_PERSON = {"Patient", "RelatedPerson"}
_INDIVIDUAL = {
    **{p.name: _PERSON | {"Practitioner"} for p in (*ADDRESS, *TELECOM, GENDER)},
    "family": {"Patient", "Practitioner"},
    "given": {"Patient", "Practitioner"},
    "birthdate": _PERSON,
}


def definition(type_: str, parameter: Parameter) -> str:
    """The canonical of HL7's own SearchParameter; R4 defines some once for several types."""
    if parameter.definition:
        return parameter.definition
    if type_ in _CLINICAL.get(parameter.name, ()):
        return f"{HL7}clinical-{parameter.name}"
    if type_ in _INDIVIDUAL.get(parameter.name, ()):
        return f"{HL7}individual-{parameter.name}"
    return f"{HL7}{type_}-{parameter.name}"
