"""Signatures as Provenance: sign, agree, co-sign. One per audience, for naming a private passage
in the team's Provenance would betray it (domain reference, section 11).
"""

from collections.abc import Iterable
from typing import Any

from service.notes import codes
from service.notes.author import Author, reference
from service.vocabulary import ResourceId

AUTHOR_SIGNATURE = ("1.2.840.10065.1.12.1.1", "Author's Signature")
CO_PARTICIPANT_SIGNATURE = ("1.2.840.10065.1.12.1.3", "Co-participant's Signature")
VALIDATION_SIGNATURE = ("1.2.840.10065.1.12.1.6", "Validation Signature")


def versioned(type_: str, id_: str, version: int) -> dict[str, str]:
    return {"reference": f"{type_}/{id_}/_history/{version}"}


def signed_by_author(
    author: Author, targets: Iterable[dict[str, str]], *, name: str,
    labels: list[dict[str, str]], signed: str, period: dict[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    organisation = reference("Organization", author.program.organisation)
    who = reference("Practitioner", author.practitioner)
    tablet = {"type": "Device", "identifier": codes.uuid_identifier(author.device)}
    resource = _provenance(author, name, targets, labels, AUTHOR_SIGNATURE, signed, who)
    resource["agent"] = [
        _agent(codes.AGENT_TYPE, "author", "Author", who, organisation),
        _agent(codes.US_CORE_AGENT, "transmitter", "Transmitter", tablet, organisation),
    ]
    resource["entity"] = [
        {
            "role": "source",
            "what": {
                "identifier": codes.uuid_identifier(author.operation),
                "display": f"sha256:{author.operation_digest}",
            },
        }
    ]  # fmt: skip
    if period:
        resource["occurredPeriod"] = period
    return resource


def agreed_by_participant(
    author: Author, targets: Iterable[dict[str, str]], participant: ResourceId, *,
    labels: list[dict[str, str]], signed: str,
) -> dict[str, Any]:  # fmt: skip
    who = reference("Patient", participant)
    resource = _provenance(
        author, "agreement", targets, labels, CO_PARTICIPANT_SIGNATURE, signed, who
    )
    resource["agent"] = [_agent(codes.AGENT_TYPE, "attester", "Attester", who, None)]
    return resource


def co_signed(
    author: Author, targets: Iterable[dict[str, str]], *, labels: list[dict[str, str]], signed: str
) -> dict[str, Any]:
    """`author` here is the supervisor who validates."""
    organisation = reference("Organization", author.program.organisation)
    who = reference("Practitioner", author.practitioner)
    resource = _provenance(author, "co-sign", targets, labels, VALIDATION_SIGNATURE, signed, who)
    resource["agent"] = [_agent(codes.AGENT_TYPE, "verifier", "Verifier", who, organisation)]
    return resource


def released(
    author: Author, targets: Iterable[dict[str, str]], *, operation: ResourceId,
    labels: list[dict[str, str]],
) -> dict[str, Any]:  # fmt: skip
    """A supervisor let a quarantined operation in: under its author's name, with this beside it."""
    who = reference("Practitioner", author.practitioner)
    organisation = reference("Organization", author.program.organisation)
    return {
        "resourceType": "Provenance",
        "id": author.derived("release"),
        "meta": {"profile": [codes.US_CORE_PROVENANCE], "security": labels},
        "target": list(targets),
        "recorded": author.recorded(),
        "activity": {"text": "Released from quarantine"},
        "agent": [_agent(codes.AGENT_TYPE, "enterer", "Enterer", who, organisation)],
        "entity": [{"role": "source", "what": {"identifier": codes.uuid_identifier(operation)}}],
    }


def _provenance(
    author: Author, name: str, targets: Iterable[dict[str, str]], labels: list[dict[str, str]],
    signature: tuple[str, str], signed: str, who: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    code, display = signature
    return {
        "resourceType": "Provenance",
        "id": author.derived(name),
        "meta": {"profile": [codes.US_CORE_PROVENANCE], "security": labels},
        "target": list(targets),
        "recorded": author.recorded(),
        "activity": codes.concept(codes.COMPLETION, "LA", "legally authenticated"),
        "signature": [
            {
                "type": [{"system": codes.SIGNATURE_TYPE, "code": code, "display": display}],
                "when": signed,
                "who": who,
            }
        ],
    }


def _agent(
    system: str, code: str, display: str, who: dict[str, Any], on_behalf: dict[str, Any] | None
) -> dict[str, Any]:
    agent = {"type": codes.concept(system, code, display), "who": who}
    return agent | ({"onBehalfOf": on_behalf} if on_behalf else {})
