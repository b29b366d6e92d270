"""Renders an entry as the AuditEvent that IHE's Basic Audit Log Patterns (BALP 1.1.4) ask for.

Pure: the same entry gives the same resource, so that whoever holds a proof can redo the step. The
access profiles fix outcome 0, hence a refusal or failure keeps the shape and claims no profile.
Agents flip: the client is destination of a read and source of a write or search. `data` is exactly
one entity of type System Object; further records stand under their resource type.
"""

from service.audit.auditevent import (
    APPLICATION,
    CODES,
    DCM,
    DESTINATION,
    SOURCE,
    TERMINOLOGY,
    Json,
    base64,
    basis,
    client,
    coding,
    concept,
    data,
    instant,
    machine,
    patient,
    query,
    request,
    user,
)
from service.audit.entry import Entry, Kind, Outcome, Position
from service.vocabulary import ACT_REASON, Action, ResourceId

PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
RESTFUL = "http://hl7.org/fhir/restful-interaction"

# How each interaction is told: action, subtypes, profile, type of the client's and the user's part.
_TOLD = {
    Action.CREATE: ("C", ("create",), "Create", SOURCE, "AUT"),
    Action.UPDATE: ("U", ("update",), "Update", SOURCE, "AUT"),
    Action.DELETE: ("D", ("delete",), "Delete", APPLICATION, "AUT"),
    Action.READ: ("R", ("read",), "Read", DESTINATION, "IRCP"),
    Action.VREAD: ("R", ("vread",), "Read", DESTINATION, "IRCP"),
    Action.SEARCH: ("E", ("search",), "Query", SOURCE, "IRCP"),
    Action.HISTORY: ("E", ("search", "history"), "Query", SOURCE, "IRCP"),
}
_LOG_USED = {Action.AUDIT_SEARCH, Action.AUDIT_PROOF, Action.ACCOUNTING}

# Events outside FHIR's REST: the DICOM type, and its subtype where DICOM has one.
_EVENTS = {
    Kind.LOGIN: ("110114", "110122"),  # User Authentication: Login
    Kind.BREAK_GLASS: ("110113", "110127"),  # Security Alert: Emergency Override Started
    Kind.OPEN_FAIL: ("110113", ""),
    Kind.KEY_ACT: ("110113", ""),
    Kind.LEDGER_GAP: ("110113", ""),
    Kind.LEDGER_REJECT: ("110113", ""),
    Kind.STREAM_OPEN: ("110100", "110120"),  # Application Activity: Application Start
    Kind.STREAM_BEAT: ("110100", ""),
    Kind.STREAM_CLOSE: ("110100", "110121"),  # Application Stop
}
_OVERRIDE_ENDED = "110138"


def render(
    entry: Entry, *, base_url: str, observer: ResourceId, position: Position | None = None
) -> Json:
    """The AuditEvent of an entry; `observer` is the Device that this service is."""
    device = {"reference": f"Device/{observer}"}
    match entry.kind:
        case Kind.DISCLOSURE if entry.outcome is Outcome.SUCCESS and entry.patient:
            body = _disclosure(entry, base_url, device)
        case Kind.CONSENT_REFUSAL:
            body = _consent_refusal(entry, base_url, device)
        case kind if kind in _EVENTS or entry.action not in {*_TOLD, *_PUSHED}:
            body = _event(entry, base_url, device)
        case _:
            body = _interaction(entry, base_url, device)
    profile = body.pop("profile")
    event: Json = {"resourceType": "AuditEvent", "id": entry.id}
    if profile:
        event["meta"] = {"profile": [PROFILE + profile]}
    extensions = _extensions(entry, base_url, position)
    if extensions:
        event["extension"] = extensions
    event |= body | {"recorded": instant(entry.at), "outcome": str(int(entry.outcome))}
    if entry.reason:
        event["outcomeDesc"] = entry.reason
    if entry.purpose:
        event["purposeOfEvent"] = [concept(ACT_REASON, entry.purpose)]
    event["source"] = {
        "site": base_url.partition("://")[2] or base_url,
        "observer": device,
        "type": [coding(TERMINOLOGY + "security-source-type", "4")],  # application server
    }
    return event


_PUSHED = {Action.SYNC_PUSH, Action.IMPORT}


def _interaction(entry: Entry, base_url: str, device: Json) -> Json:
    """Create, Read, Update, Delete, Query, each with and without a participant."""
    action, subtypes, profile, app, person = _TOLD[_told_as(entry)]
    server = SOURCE if app == DESTINATION else DESTINATION
    custodian = TERMINOLOGY + "provenance-participant-type", "custodian"
    agents = [
        client(entry, app),
        machine(device, base_url, *(custodian if action == "D" else (DCM, server))),
        *user(entry, base_url, person),
    ]
    entities = patient(entry)
    if profile == "Query":
        entities.append(query(entry, base_url))
    else:
        entities += data(entry.touched) + basis(entry)
    complete = profile == "Query" or entry.touched
    holds = entry.outcome is Outcome.SUCCESS and complete
    return {
        "profile": ("Patient" if entry.patient else "") + profile if holds else "",
        "type": coding(TERMINOLOGY + "audit-event-type", "rest"),
        "subtype": [coding(RESTFUL, code) for code in subtypes],
        "action": action,
        "agent": agents,
        "entity": [*entities, request(entry)],
    }


def _told_as(entry: Entry) -> Action:
    """A push or import is told as what it did: a create, unless it changed something."""
    if entry.action not in _PUSHED:
        return entry.action
    return Action.CREATE if all(t.version == 1 for t in entry.touched) else Action.UPDATE


def _disclosure(entry: Entry, base_url: str, device: Json) -> Json:
    """What an outside recipient got: it feeds the accounting of disclosures."""
    _, subtypes, *_ = _TOLD.get(_told_as(entry), ("", (), "", "", ""))
    recipient = client(entry, DESTINATION)
    if entry.organisation:
        recipient["who"] = {"reference": f"Organization/{entry.organisation}"}
    disclose = coding(TERMINOLOGY + "iso-21089-lifecycle", "disclose")
    return {
        "profile": "PrivacyDisclosure.Source" if entry.touched else "",
        "type": coding(DCM, "110106"),
        "subtype": [disclose, *(coding(RESTFUL, code) for code in subtypes)],
        "action": "R",
        "agent": [
            machine(device, base_url, DCM, SOURCE),
            recipient,
            *user(entry, base_url, "IRCP"),
        ],
        "entity": [*patient(entry), *data(entry.touched), *basis(entry), request(entry)],
    }


def _consent_refusal(entry: Entry, base_url: str, device: Json) -> Json:
    """A decision by consent conforms only if it names one, a user and an organisation."""
    consent = basis(entry)
    whole = bool(consent and entry.patient and entry.agent and entry.organisation)
    asking = [
        agent | ({"purposeOfUse": [concept(ACT_REASON, entry.purpose)]} if entry.purpose else {})
        for agent in user(entry, base_url, "IRCP")
    ]
    organisation = {
        "type": concept(TERMINOLOGY + "v3-RoleClass", "PROV"),
        "who": {"reference": f"Organization/{entry.organisation}"},
        "requestor": False,
    }
    authorizer = {
        "type": concept(TERMINOLOGY + "extra-security-role-type", "authserver"),
        "who": device,
        "requestor": False,
    }
    return {
        "profile": "AuthZconsent" if whole else "",
        "type": coding(DCM, "110113"),
        "subtype": [coding(CODES + "AuthZsubType", "AuthZ-Consent" if whole else "AuthZ-Role")],
        "action": "E",
        "agent": [
            client(entry, APPLICATION),
            *asking,
            *([organisation] if entry.organisation else []),
            authorizer,
        ],
        # Closed: patient, consent, token. Anything more would not conform.
        "entity": patient(entry) + consent,
    }


def _event(entry: Entry, base_url: str, device: Json) -> Json:
    """Sign-ins, break-glass, use of the log, and what the ledger and the keys did."""
    kind, subtype = _EVENTS.get(entry.kind, ("110113", ""))
    if entry.action in _LOG_USED:
        kind, subtype = "110101", ""  # Audit Log Used
    if entry.kind is Kind.BREAK_GLASS and ("phase", "ended") in entry.details:
        subtype = _OVERRIDE_ENDED
    service = machine(device, base_url, DCM, APPLICATION)
    apps = [client(entry, SOURCE)] if entry.client else []
    body: Json = {
        "profile": "",
        "type": coding(DCM, kind),
        "action": "E",
        "agent": [service, *apps, *user(entry, base_url, "IRCP")],
        "entity": [*patient(entry), *data(entry.touched), *basis(entry), request(entry)],
    }
    if subtype:
        body["subtype"] = [coding(DCM, subtype)]
    return body


def _extensions(entry: Entry, base_url: str, position: Position | None) -> list[Json]:
    root = f"{base_url}/StructureDefinition/"
    parts: list[tuple[str, Json]] = []
    if position is not None:
        stream = {"url": "stream", "valueUuid": f"urn:uuid:{position.stream}"}
        number = {"url": "n", "valueString": str(position.n)}  # FHIR's integers end at 2^31
        prev = {"url": "prev", "valueBase64Binary": base64(position.prev)}
        parts.append(("ledger-position", {"extension": [stream, number, prev]}))
    for each in entry.commitments:
        named = {"url": "field", "valueCode": each.field}
        digest = {"url": "digest", "valueBase64Binary": base64(each.digest)}
        parts.append(("ledger-commitment", {"extension": [named, digest]}))
    return [{"url": root + name} | part for name, part in parts]
