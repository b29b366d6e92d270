"""What a caller may write over FHIR: nobody speaks for another, and what was signed stays.

Sessions, notes and co-signatures are made by their own doors (sync, supervise), whose rules are in
notes. A resource that arrives ready-made is looked at here before the store takes it.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, bindparam, select

from service.access.caller import Caller
from service.access.tables import principal
from service.audit import search
from service.database.metadata import GUID
from service.errors import Invalid, Issue
from service.notes.codes import TASK_CODE
from service.records import grounds
from service.records.document import parse
from service.records.stored import Stored
from service.vocabulary import Relation, Role

Resource = dict[str, Any]
FINAL = frozenset({"DocumentReference", "Binary", "Provenance"})
"""Written once: a note is appended to, amended or entered in error through its own door."""
STAFF = select(principal.c.practitioner).where(
    principal.c.practitioner.in_(bindparam("practitioners", type_=GUID, expanding=True))
)


def demand_own_words(connection: Connection, caller: Caller, resource: Resource) -> None:
    """Raises Invalid where somebody on this house's staff is made to author, sign or verify."""
    named = {
        (path, reference.removeprefix("Practitioner/"))
        for path, reference in _speakers(resource)
        if reference.startswith("Practitioner/")
    }
    others = {id_ for path, id_ in named if id_ != caller.practitioner or path == AUTHENTICATOR}
    if not others:
        return
    staff = set(connection.execute(STAFF, {"practitioners": sorted(others)}).scalars())
    for path, id_ in sorted(named):
        if id_ in staff & others:
            text = "Somebody else is named as author, signer or verifier: they do that themselves."
            raise Invalid(text, Issue("business-rule", text, path))


AUTHENTICATOR = "DocumentReference.authenticator"


def _speakers(resource: Resource) -> Iterator[tuple[str, str]]:
    match resource.get("resourceType"):
        case "DocumentReference":
            for author in resource.get("author", []):
                yield "DocumentReference.author", str(author.get("reference", ""))
            signer = resource.get("authenticator", {}).get("reference", "")
            yield AUTHENTICATOR, str(signer)
        case "Provenance":
            for agent in resource.get("agent", []):
                yield "Provenance.agent.who", str(agent.get("who", {}).get("reference", ""))
            for signature in resource.get("signature", []):
                who = str(signature.get("who", {}).get("reference", ""))
                yield "Provenance.signature.who", who
        case _:
            return


def demand_changeable(
    connection: Connection, caller: Caller, before: Stored, resource: Resource
) -> None:
    """Raises Invalid where the stored record may not become this one; the same content may."""
    stored = parse(before.body)
    if _content(stored) == _content(resource):
        return
    type_ = before.type
    if type_ in FINAL:
        raise Invalid(f"A stored {type_} does not change: append to the note, or amend it.")
    if type_ == "Task" and TASK_CODE in _systems(stored):
        raise Invalid("This task moves by what is done about its note, not by itself.")
    if grounds.attested(connection, type_, before.id):
        raise Invalid("This record was signed: it changes with its note, through its own door.")
    if not _trusted(caller, type_) and caller.principal != _writer(connection, before):
        raise Invalid("Only whoever wrote this record changes it.")


def _trusted(caller: Caller, type_: str) -> bool:
    """Staff and the house's own systems correct each other's records; others only their own."""
    if caller.role is Role.PARTICIPANT:
        return type_ == "Consent"
    return caller.relation is Relation.INSIDE


def _writer(connection: Connection, before: Stored) -> str | None:
    entry = grounds.first_entry(connection, before.type, before.id)
    found = search.by_id(connection, entry) if entry else None
    return found.entry.agent if found else None


def _content(resource: Resource) -> Resource:
    meta = resource.get("meta", {})
    kept = {name: value for name, value in meta.items() if name not in ("versionId", "lastUpdated")}
    return resource | {"meta": kept}


def _systems(task: Resource) -> set[str]:
    return {str(coding.get("system")) for coding in task.get("code", {}).get("coding", [])}
