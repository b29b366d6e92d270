"""What each BALP profile demands, as predicates over an AuditEvent (BALP 1.1.4).

`faults(profile, event)` names the rules that do not hold. Written from the published profiles; the
published examples and our own renderings are held to the same rules.
"""

from collections.abc import Callable, Iterator
from typing import Any

Event = dict[str, Any]
Rule = Callable[[Event], bool]

TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
DCM = "http://dicom.nema.org/resources/ontology/DCM"
REST = "http://hl7.org/fhir/restful-interaction"
CLIENT, SOURCE, DESTINATION = (DCM, "110150"), (DCM, "110153"), (DCM, "110152")
CUSTODIAN = (TERMINOLOGY + "provenance-participant-type", "custodian")
PARTICIPATION = TERMINOLOGY + "v3-ParticipationType"
ENTITY = TERMINOLOGY + "audit-entity-type"
AUTHOR = {(PARTICIPATION, code) for code in ("AUT", "INF", "CST")}
RECIPIENT = {(PARTICIPATION, "IRCP")}
OWN_TYPES = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"


def code(coding: Event) -> tuple[str, str]:
    return coding.get("system", ""), coding.get("code", "")


def agents(event: Event, *types: tuple[str, str]) -> list[Event]:
    return [
        agent
        for agent in event.get("agent", [])
        if any(code(c) in types for c in agent.get("type", {}).get("coding", []))
    ]


def entities(event: Event, *types: tuple[str, str]) -> list[Event]:
    return [e for e in event.get("entity", []) if code(e.get("type", {})) in types]


def machine(agent: Event) -> bool:
    return "who" in agent and bool(agent.get("network")) and "media" not in agent


def person(users: list[Event]) -> bool:
    """At most one user, who is asked for by name and has no network of their own."""
    return len(users) < 2 and all(
        "who" in user and user.get("requestor") is True and "network" not in user for user in users
    )


def one(found: list[Event], rule: Rule = lambda _: True) -> bool:
    return len(found) == 1 and rule(found[0])


def request(entity: Event) -> bool:
    return bool(entity.get("what", {}).get("identifier", {}).get("value"))


def common(event: Event) -> Iterator[tuple[str, bool]]:
    yield "recorded", bool(event.get("recorded"))
    yield "source", "observer" in event.get("source", {})
    yield "requestor", all("requestor" in agent for agent in event.get("agent", []))
    yield "request id", all(map(request, entities(event, (OWN_TYPES, "XrequestId"))))
    yield (
        "name or query",
        not any({"name", "query"} <= set(entity) for entity in event.get("entity", [])),
    )


def rest(event: Event, facts: "Facts") -> Iterator[tuple[str, bool]]:
    action, subtypes, client, server, users, _ = facts
    yield from common(event)
    yield "type", code(event.get("type", {})) == (TERMINOLOGY + "audit-event-type", "rest")
    yield "action", event.get("action") == action
    interactions = [c for s, c in map(code, event.get("subtype", [])) if s == REST]
    yield "subtype", len([c for c in interactions if c in subtypes]) == 1
    yield "outcome", event.get("outcome") == "0"
    yield "client", one(agents(event, client), machine)
    yield "server", one(agents(event, server), machine)
    yield "user", person(agents(event, *users))
    known = {client, server, *users}
    yield (
        "agents flipped",
        len(agents(event, *known)) >= 2
        and not agents(event, *({CLIENT, SOURCE, DESTINATION} - known)),
    )


def data(entity: Event) -> bool:
    role = code(entity.get("role", {}))
    return "what" in entity and role in {(TERMINOLOGY + "object-role", c) for c in ("4", "3", "20")}


def query(entity: Event) -> bool:
    forbidden = {"what", "lifecycle", "detail", "name"}
    role = code(entity.get("role", {}))
    return (
        bool(entity.get("query"))
        and role == (TERMINOLOGY + "object-role", "24")
        and not forbidden & set(entity)
    )


def patient(entity: Event) -> bool:
    return code(entity.get("role", {})) == (TERMINOLOGY + "object-role", "1") and str(
        entity.get("what", {}).get("reference", "")
    ).startswith("Patient/")


Facts = tuple[str, set[str], tuple[str, str], tuple[str, str], set[tuple[str, str]], Rule]
"""Action, interactions, types of client, server and user, and what the object must be."""

REST_RULES: dict[str, Facts] = {
    "Create": ("C", {"create"}, SOURCE, DESTINATION, AUTHOR, data),
    "Update": ("U", {"update", "patch"}, SOURCE, DESTINATION, AUTHOR, data),
    "Delete": ("D", {"delete"}, CLIENT, CUSTODIAN, AUTHOR, data),
    "Read": ("R", {"read", "vread"}, DESTINATION, SOURCE, RECIPIENT, data),
    "Query": ("E", {"search", "search-type"}, SOURCE, DESTINATION, RECIPIENT, query),
}


def interaction(name: str, event: Event) -> Iterator[tuple[str, bool]]:
    facts = REST_RULES[name.removeprefix("Patient")]
    yield from rest(event, facts)
    yield "object", one(entities(event, (ENTITY, "2")), facts[-1])
    persons = entities(event, (ENTITY, "1"))
    if name.startswith("Patient"):
        yield "patient", one(persons, patient)
    else:
        yield "no patient", not persons


def disclosure(name: str, event: Event) -> Iterator[tuple[str, bool]]:
    source, recipient = agents(event, SOURCE), agents(event, DESTINATION)
    yield from common(event)
    kind, action, self = ("110106", "R", source) if name == "Source" else ("110107", "C", recipient)
    yield "type", code(event.get("type", {})) == (DCM, kind)
    yield "action", event.get("action") == action
    disclosed = (TERMINOLOGY + "iso-21089-lifecycle", "disclose")
    yield "subtype", disclosed in map(code, event.get("subtype", []))
    yield "outcome", "outcome" in event
    yield "source agent", one(source, machine)
    yield "recipient", one(recipient, machine)
    observer = event.get("source", {}).get("observer")
    yield "observer", bool(self) and self[0].get("who") == observer
    yield "patient", one(entities(event, (ENTITY, "1")), patient)
    yield "objects", any(map(data, event.get("entity", [])))


def authorization(event: Event) -> Iterator[tuple[str, bool]]:
    yield from common(event)
    yield "type", code(event.get("type", {})) == (DCM, "110113")
    subtypes = {c for s, c in map(code, event.get("subtype", [])) if s.endswith("/AuthZsubType")}
    yield "subtype", subtypes == {"AuthZ-Consent"}
    yield "action", event.get("action") == "E"
    yield "outcome", event.get("outcome") in {"4", "8"} and bool(event.get("outcomeDesc"))
    bare = {"role", "purposeOfUse", "altId", "name"}
    yield "client", one(agents(event, CLIENT), lambda a: machine(a) and not bare & set(a))
    users = agents(event, *RECIPIENT)
    yield "user", len(users) == 1 and person(users)
    organisation = (TERMINOLOGY + "v3-RoleClass", "PROV")
    plain = {"type", "who", "requestor"}
    yield "organisation", one(agents(event, organisation), lambda a: set(a) == plain)
    authority = (TERMINOLOGY + "extra-security-role-type", "authserver")
    observer = event.get("source", {}).get("observer")
    yield (
        "authorizer",
        one(agents(event, authority), lambda a: set(a) == plain and a["who"] == observer),
    )
    persons = entities(event, (ENTITY, "1"))
    consents = entities(event, ("http://hl7.org/fhir/resource-types", "Consent"))
    tokens = entities(event, (OWN_TYPES, "UserOauthAgent"))
    yield "patient", one(persons, patient)
    yield "consent", bool(consents) and all("what" in consent for consent in consents)
    yield "closed", len(persons + consents + tokens) == len(event.get("entity", []))


def faults(profile: str, event: Event) -> list[str]:
    """The rules of a profile that the event breaks."""
    name = profile.rpartition("IHE.BasicAudit.")[2]
    if name.removeprefix("Patient") in REST_RULES:
        rules = interaction(name, event)
    elif name.startswith("PrivacyDisclosure."):
        rules = disclosure(name.rpartition(".")[2], event)
    elif name == "AuthZconsent":
        rules = authorization(event)
    else:
        raise LookupError(name)
    return [rule for rule, holds in rules if not holds]
