"""The search parameters of every stored type, as data (FHIR R4, US Core 6.1 to 8.0).

Extraction, search and the capability statement read this one table. A path is a dotted element
path; `extension(<url>)` steps into one extension; a trailing `:instant` says that the value is one
microsecond wide, not as wide as its digits; `:phone` takes the contact points of that system.
"""

from dataclasses import dataclass
from enum import StrEnum

from service.vocabulary import STORED_TYPES

HL7 = "http://hl7.org/fhir/SearchParameter/"
US_CORE = "http://hl7.org/fhir/us/core/SearchParameter/us-core-"
ASSERTED = "http://hl7.org/fhir/StructureDefinition/condition-assertedDate"


class Kind(StrEnum):
    """FHIR's SearchParameter.type, as far as we have them."""

    TOKEN = "token"  # noqa: S105 (FHIR's word)
    REFERENCE = "reference"
    DATE = "date"
    STRING = "string"
    URI = "uri"


class Source(StrEnum):
    """Where a parameter's values are kept."""

    ROWS = "rows"  # ix_token, ix_reference, ix_date
    IDENTIFIER = "identifier"  # ix_identifier: keyed hash at full length
    COLUMN = "column"  # a column of `resource` itself
    DIRECTORY = "directory"  # process memory only: names, addresses, birth dates


@dataclass(frozen=True, slots=True)
class Parameter:
    """`system`: implied by a `code` element. `shared`: hashed alike for all participants.

    `rows` names the parameter whose index rows this one reads, where that is not itself.
    `systems` is False where `system|` alone cannot be asked for, to spare a row per resource.
    """

    name: str
    kind: Kind
    paths: tuple[str, ...]
    source: Source = Source.ROWS
    targets: tuple[str, ...] = ()
    system: str = ""
    shared: bool = False
    systems: bool = True
    rows: str = ""
    definition: str = ""

    @property
    def index(self) -> str:
        """The name its index rows stand under."""
        return self.rows or self.name


def _token(
    name: str, *paths: str, system: str = "", shared: bool = False, definition: str = ""
) -> Parameter:
    return Parameter(
        name, Kind.TOKEN, paths, system=system, shared=shared or bool(system), definition=definition
    )


def _code(name: str, path: str, system: str, definition: str = "") -> Parameter:
    return _token(name, path, system=f"http://hl7.org/fhir/{system}", definition=definition)


def _date(name: str, *paths: str, definition: str = "") -> Parameter:
    return Parameter(name, Kind.DATE, paths, definition=definition)


def _to(name: str, path: str, *targets: str, rows: str = "") -> Parameter:
    return Parameter(name, Kind.REFERENCE, (path,), targets=targets, rows=rows)


def _known(name: str, *paths: str, kind: Kind = Kind.STRING, system: str = "") -> Parameter:
    return Parameter(name, kind, paths, source=Source.DIRECTORY, system=system)


def _identifier(*paths: str) -> Parameter:
    return Parameter("identifier", Kind.TOKEN, paths or ("identifier",), source=Source.IDENTIFIER)


def _about(path: str, *names: str) -> tuple[Parameter, ...]:
    """The participant: a column of `resource`, under the names that the type has for it."""
    return tuple(
        Parameter(name, Kind.REFERENCE, (path,), source=Source.COLUMN, targets=("Patient",),
                  rows="" if name == "patient" else "patient")
        for name in names or ("patient", "subject")
    )  # fmt: skip


COMMON = (
    Parameter("_id", Kind.TOKEN, ("id",), source=Source.COLUMN, definition=HL7 + "Resource-id"),
    Parameter("_lastUpdated", Kind.DATE, ("meta.lastUpdated",), source=Source.COLUMN,
              definition=HL7 + "Resource-lastUpdated"),
    Parameter("_tag", Kind.TOKEN, ("meta.tag",), systems=False, definition=HL7 + "Resource-tag"),
    Parameter("_security", Kind.TOKEN, ("meta.security",), systems=False,
              definition=HL7 + "Resource-security"),
    Parameter("_profile", Kind.URI, ("meta.profile",), shared=True,
              definition=HL7 + "Resource-profile"),
)  # fmt: skip

ADDRESS = (
    _known("address", "address"),
    _known("address-city", "address.city"),
    _known("address-state", "address.state"),
    _known("address-postalcode", "address.postalCode"),
    _known("address-country", "address.country"),
)
TELECOM = (
    _known("telecom", "telecom", kind=Kind.TOKEN),
    _known("phone", "telecom:phone", kind=Kind.TOKEN),
    _known("email", "telecom:email", kind=Kind.TOKEN),
)
_NAME = (_known("name", "name"), _known("family", "name.family"), _known("given", "name.given"))
GENDER = _known("gender", "gender", kind=Kind.TOKEN,
                 system="http://hl7.org/fhir/administrative-gender")  # fmt: skip
_BIRTH = _known("birthdate", "birthDate", kind=Kind.DATE)
_ACTIVE = _token("active", "active", shared=True)
_STAFF = ("Practitioner", "PractitionerRole", "Organization")
_PEOPLE = (*_STAFF, "Patient", "RelatedPerson")
_ENCOUNTER = _to("encounter", "encounter", "Encounter")

_TABLE: dict[str, tuple[Parameter, ...]] = {
    "Patient": (
        _identifier(), _ACTIVE, *_NAME, *ADDRESS, *TELECOM, GENDER, _BIRTH,
        _known("death-date", "deceasedDateTime", kind=Kind.DATE),
        _to("general-practitioner", "generalPractitioner", *_STAFF),
        _to("organization", "managingOrganization", "Organization"),
        _to("link", "link.other", "Patient", "RelatedPerson"),
    ),
    "Encounter": (
        *_about("subject"), _identifier(), _date("date", "period"), _token("type", "type"),
        _code("status", "status", "encounter-status"), _token("class", "class", shared=True),
        _to("location", "location.location", "Location"),
        _token("discharge-disposition", "hospitalization.dischargeDisposition",
               definition=US_CORE + "encounter-discharge-disposition"),
        _to("participant", "participant.individual", "Practitioner", "PractitionerRole",
            "RelatedPerson"),
        _to("practitioner", "participant.individual", "Practitioner", rows="participant"),
        _to("service-provider", "serviceProvider", "Organization"),
        _token("reason-code", "reasonCode"), _to("part-of", "partOf", "Encounter"),
    ),
    "DocumentReference": (
        *_about("subject"), _identifier("masterIdentifier", "identifier"), _token("type", "type"),
        _token("category", "category"), _date("date", "date:instant"),
        _date("period", "context.period"),
        _code("status", "status", "document-reference-status"),
        _to("encounter", "context.encounter", "Encounter"), _to("author", "author", *_PEOPLE),
        _to("authenticator", "authenticator", *_STAFF),
        _to("custodian", "custodian", "Organization"), _token("security-label", "securityLabel"),
        _to("relatesto", "relatesTo.target", "DocumentReference"),
    ),
    "Binary": (),
    "Consent": (
        *_about("patient", "patient"), _identifier(),
        _code("status", "status", "consent-state-codes"), _token("category", "category"),
        _token("scope", "scope", shared=True), _date("date", "dateTime"),
        _date("period", "provision.period"),
        _to("actor", "provision.actor.reference", "CareTeam", *_PEOPLE),
        _token("purpose", "provision.purpose"), _token("action", "provision.action"),
        _to("data", "provision.data.reference"),
        _token("security-label", "provision.securityLabel"),
        _to("source-reference", "sourceReference", "Consent", "DocumentReference",
            "QuestionnaireResponse"),
        _to("consentor", "performer", *_PEOPLE),
        _to("organization", "organization", "Organization"),
    ),
    "Provenance": (
        *_about("target", "patient"), _to("target", "target"), _to("agent", "agent.who", *_PEOPLE),
        _date("recorded", "recorded:instant"),
    ),
    "Practitioner": (_identifier(), _ACTIVE, *_NAME, *TELECOM),
    "PractitionerRole": (
        _identifier(), _ACTIVE, _token("specialty", "specialty", shared=True),
        _to("practitioner", "practitioner", "Practitioner"), _token("role", "code", shared=True),
        _to("location", "location", "Location"),
        _to("organization", "organization", "Organization"),
        _to("endpoint", "endpoint", "Endpoint"),
    ),
    "Organization": (
        _identifier(), _ACTIVE, _known("name", "name", "alias"), *ADDRESS, _token("type", "type"),
        _to("partof", "partOf", "Organization"),
    ),
    "Location": (
        _identifier(), _known("name", "name", "alias"), *ADDRESS, _token("type", "type"),
        _code("status", "status", "location-status"), _to("partof", "partOf", "Location"),
        _to("organization", "managingOrganization", "Organization"),
    ),
    "CareTeam": (
        *_about("subject"), _identifier(), _code("status", "status", "care-team-status"),
        _token("role", "participant.role", shared=True, definition=US_CORE + "careteam-role"),
        _to("participant", "participant.member", "CareTeam", *_PEOPLE),
        _token("category", "category"), _date("date", "period"), _ENCOUNTER,
    ),
    "Task": (
        *_about("for"), _identifier(), _code("status", "status", "task-status"),
        _code("intent", "intent", "request-intent"),
        _code("priority", "priority", "request-priority"), _token("code", "code", shared=True),
        _token("business-status", "businessStatus", shared=True),
        _to("owner", "owner", "CareTeam", *_PEOPLE), _to("requester", "requester", *_PEOPLE),
        _to("focus", "focus"), _to("based-on", "basedOn"), _ENCOUNTER,
        _date("authored-on", "authoredOn"), _date("modified", "lastModified"),
        _date("period", "executionPeriod"),
    ),
    "Condition": (
        *_about("subject"), _identifier(), _token("category", "category"), _token("code", "code"),
        _token("clinical-status", "clinicalStatus", shared=True),
        _token("verification-status", "verificationStatus", shared=True),
        _date("onset-date", "onsetDateTime", "onsetPeriod"),
        _date("abatement-date", "abatementDateTime", "abatementPeriod"),
        _date("recorded-date", "recordedDate"),
        _date("asserted-date", f"extension({ASSERTED}).valueDateTime",
              definition=US_CORE + "condition-asserted-date"),
        _ENCOUNTER, _to("asserter", "asserter", *_PEOPLE),
    ),
    "Goal": (
        *_about("subject"), _identifier(), _token("category", "category"),
        _code("lifecycle-status", "lifecycleStatus", "goal-status"),
        _token("description", "description", definition=US_CORE + "goal-description"),
        _date("target-date", "target.dueDate"), _date("start-date", "startDate"),
    ),
    "CarePlan": (
        *_about("subject"), _identifier(), _token("category", "category"), _date("date", "period"),
        _code("status", "status", "request-status"), _code("intent", "intent", "request-intent"),
        _to("goal", "goal", "Goal"), _to("care-team", "careTeam", "CareTeam"), _ENCOUNTER,
    ),
    "Observation": (
        *_about("subject"), _identifier(), _token("category", "category"), _token("code", "code"),
        _code("status", "status", "observation-status"),
        _date("date", "effectiveDateTime", "effectivePeriod", "effectiveTiming",
              "effectiveInstant:instant"),
        _ENCOUNTER, _to("performer", "performer", "CareTeam", *_PEOPLE),
        _to("derived-from", "derivedFrom", "DocumentReference", "QuestionnaireResponse",
            "Observation"),
        _to("has-member", "hasMember", "QuestionnaireResponse", "Observation"),
    ),
    "QuestionnaireResponse": (
        *_about("subject"), _identifier(), _date("authored", "authored"),
        _code("status", "status", "questionnaire-answers-status"),
        Parameter("questionnaire", Kind.URI, ("questionnaire",)),
        _ENCOUNTER, _to("author", "author", *_PEOPLE),
        _to("source", "source", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"),
        _to("based-on", "basedOn", "CarePlan", "ServiceRequest"),
    ),
    "ServiceRequest": (
        *_about("subject"), _identifier(), _token("category", "category"), _token("code", "code"),
        _date("authored", "authoredOn"), _code("status", "status", "request-status"),
        _code("intent", "intent", "request-intent"), _ENCOUNTER,
        _date("occurrence", "occurrenceDateTime", "occurrencePeriod", "occurrenceTiming"),
        _to("requester", "requester", *_PEOPLE),
        _to("performer", "performer", "CareTeam", *_PEOPLE),
        _to("based-on", "basedOn", "CarePlan", "ServiceRequest"),
    ),
    "RelatedPerson": (
        *_about("patient", "patient"), _identifier(), _ACTIVE, _known("name", "name"), *ADDRESS,
        *TELECOM, GENDER, _BIRTH, _token("relationship", "relationship"),
    ),
    "Flag": (
        *_about("subject"), _identifier(), _date("date", "period"), _ENCOUNTER,
        _to("author", "author", *_PEOPLE),
    ),
    "Communication": (
        *_about("subject"), _identifier(), _code("status", "status", "event-status"),
        _date("sent", "sent"), _date("received", "received"), _to("sender", "sender", *_PEOPLE),
        _to("recipient", "recipient", "CareTeam", *_PEOPLE), _token("category", "category"),
        _ENCOUNTER, _to("based-on", "basedOn"),
    ),
    "Questionnaire": (
        _identifier(), Parameter("url", Kind.URI, ("url",)), _token("version", "version"),
        _known("name", "name"), _known("title", "title"),
        _code("status", "status", "publication-status"), _date("date", "date"),
    ),
}  # fmt: skip

MAIN_DATE = {
    "Encounter": "date", "DocumentReference": "date", "Consent": "date", "Provenance": "recorded",
    "CareTeam": "date", "Task": "authored-on", "Condition": "recorded-date", "Goal": "start-date",
    "CarePlan": "date", "Observation": "date", "QuestionnaireResponse": "authored",
    "ServiceRequest": "authored", "Flag": "date", "Communication": "sent",
}  # fmt: skip
"""The single-valued date by which a type is sorted and stored; else its last update."""

PARAMETERS: dict[str, dict[str, Parameter]] = {
    type_: {p.name: p for p in ((*COMMON, *_TABLE[type_]) if type_ != "Binary" else ())}
    for type_ in sorted(STORED_TYPES)
}
