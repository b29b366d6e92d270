"""A FHIR R4 Consent read into values: total, and tolerant on the safe side only.

Whatever is not evaluated here (an element, a code system, a modifier, a reference that cannot be
followed) is kept as `unread`: it matches for a deny and does not match for a permit (privacy,
section 3). So nothing that we fail to understand can ever open a record.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Generic, Literal, TypeVar

from service.consent.dates import period
from service.consent.families import family
from service.consent.purposes import KNOWN
from service.consent.recipients import RECIPIENT_CLASS, RECIPIENT_ROLE, class_names
from service.vocabulary import (
    ACT_CODE,
    ACT_REASON,
    CONFIDENTIALITY,
    PART2_LABEL,
    Confidentiality,
    Family,
    Micros,
    Role,
)

T = TypeVar("T")
Effect = Literal["permit", "deny"]
DataKind = Literal["instance", "related", "author"]
DEEPEST = 20
NAME_LENGTH = 80  # of consent_rule.recipient

PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
ROLE_CODE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
RESOURCE_TYPES = "http://hl7.org/fhir/resource-types"
CONSENT_ACTION = "http://terminology.hl7.org/CodeSystem/consentaction"
CONSENT_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
RECIPIENT_ROLES = frozenset({(PARTICIPATION, "IRCP"), (PARTICIPATION, "PRCP")})
DISCLOSER_ROLES = frozenset({(PARTICIPATION, "CST")})
REPRESENTATIVE_ROLES = frozenset(
    (ROLE_CODE, code) for code in ("GUARD", "POWATT", "DPOWATT", "HPOWATT", "SPOWATT")
)
OPENING_ACTIONS = frozenset({(CONSENT_ACTION, "access"), (CONSENT_ACTION, "disclose")})
MEANINGS: dict[object, DataKind] = {
    "instance": "instance",
    "related": "related",
    "dependents": "related",
    "authoredby": "author",
}
NOT_SENSITIVITIES = frozenset(
    {
        PART2_LABEL, "NORDSCLCD", "PERSISTLABEL", "PROCESSINLINELABEL",
        "RedisclosureProhibitionMark",
    }
)  # fmt: skip
"""v3-ActCode labels that say how to handle, not what it is about."""
PROVISION_ELEMENTS = frozenset(
    {
        "id", "extension", "type", "period", "actor", "action", "securityLabel", "purpose",
        "class", "dataPeriod", "data", "provision",
    }
)  # fmt: skip
TYPE_NAME = re.compile(r"[A-Z][A-Za-z]{1,31}")
REFERENCE = re.compile(r"([A-Z][A-Za-z]{1,31}/[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]+)?")
Interval = tuple[Micros, Micros]
Code = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Criterion(Generic[T]):
    """One kind of criterion: the entries we evaluate, and whether there are others."""

    known: tuple[T, ...] = ()
    unread: bool = False

    @property
    def stated(self) -> bool:
        return bool(self.known) or self.unread


@dataclass(frozen=True, slots=True)
class Data:
    """One `provision.data`: how a record belongs to `target` ('Type/id')."""

    kind: DataKind
    target: str


@dataclass(frozen=True, slots=True)
class Provision:
    """One rule as written; what it inherits from its parent is not filled in here."""

    effect: Effect | None
    period: Criterion[Interval]
    recipients: Criterion[str]
    purposes: Criterion[str]
    labels: Criterion[Confidentiality | Family]
    types: Criterion[str]
    data: Criterion[Data]
    data_period: Criterion[Interval]
    unread: frozenset[str]  # elements that are not evaluated at all: a permit with one is void
    provisions: tuple["Provision", ...]

    @property
    def scoped(self) -> bool:
        """States what data it is about."""
        kinds = (self.labels, self.types, self.data, self.data_period)
        return any(kind.stated for kind in kinds) or "code" in self.unread


@dataclass(frozen=True, slots=True)
class Directive:
    """A Consent as a base rule with exceptions; `optout` is its policy, `root` may be untyped."""

    patient: str | None
    active: bool
    optout: bool
    root: Provision | None
    unread: frozenset[str]


def parse(consent: dict[str, Any], zone: tzinfo) -> Directive:
    """Never raises, whatever the dict holds."""
    unread = {*consent} & {"modifierExtension", "implicitRules"}
    if (CONSENT_SCOPE, "patient-privacy") not in concept(consent.get("scope")):
        unread.add("scope")
    provision = consent.get("provision")
    return Directive(
        patient=relative(consent.get("patient")),
        active=consent.get("status") == "active",
        optout=(ACT_CODE, "OPTOUT") in concept(consent.get("policyRule")),
        root=None if provision is None else read(provision, zone, 0),
        unread=frozenset(unread),
    )


def read(value: object, zone: tzinfo, depth: int) -> Provision:
    """One provision; what is no provision at all, or nested absurdly deep, denies everything."""
    item: dict[str, Any] = value if isinstance(value, dict) and depth < DEEPEST else {"type": ""}
    kind = item.get("type")
    unread = set(item.keys() - PROVISION_ELEMENTS)
    if "action" in item and not any(
        OPENING_ACTIONS & set(concept(action)) for action in listed(item["action"])
    ):
        unread.add("action")
    return Provision(
        effect=kind if kind in ("permit", "deny") else None,
        period=one(item, "period", zone),
        recipients=recipients(item.get("actor")),
        purposes=purposes(item.get("purpose")),
        labels=entries(item.get("securityLabel"), label),
        types=entries(item.get("class"), resource_type),
        data=entries(item.get("data"), datum),
        data_period=one(item, "dataPeriod", zone),
        unread=frozenset(unread),
        provisions=tuple(read(child, zone, depth + 1) for child in listed(item.get("provision"))),
    )


def entries(value: object, reader: Callable[[object], T | None]) -> Criterion[T]:
    if value is None:
        return Criterion()
    found = [reader(entry) for entry in listed(value)]
    return Criterion(tuple(x for x in found if x is not None), not found or None in found)


def one(item: dict[str, Any], name: str, zone: tzinfo) -> Criterion[Interval]:
    return entries([item[name]] if name in item else None, lambda value: period(value, zone))


def purposes(value: object) -> Criterion[str]:
    """Codes of our closed list; any other is still known by its exact system and code, and unread.

    No caller can claim a purpose outside the list, so for them such a permit never matches.
    """
    if value is None:
        return Criterion()
    codes = [coding(entry) for entry in listed(value)]
    known = tuple(
        code if system == ACT_REASON else f"{system}|{code}"
        for system, code in (pair for pair in codes if pair)
    )
    return Criterion(known, any(code not in KNOWN for code in known) or len(known) != len(codes))


def recipients(value: object) -> Criterion[str]:
    """Names of recipients.py. Actors that are none leave a criterion no permit can meet."""
    if value is None:
        return Criterion()
    names: list[str] = []
    unread = False
    for actor in listed(value):
        roles = set(concept(actor.get("role"))) if isinstance(actor, dict) else set()
        if roles & (DISCLOSER_ROLES | REPRESENTATIVE_ROLES):
            continue
        found = actor_names(actor) if roles & RECIPIENT_ROLES else ()
        names.extend(found)
        unread |= not found or any(not resolved(name) for name in found)
    return Criterion(tuple(dict.fromkeys(names)), unread or not names)


def actor_names(actor: dict[str, Any]) -> tuple[str, ...]:
    if actor.keys() - {"id", "extension", "role", "reference"}:
        return ()
    reference = actor.get("reference")
    if literal := relative(reference):
        return (literal,) if len(literal) <= NAME_LENGTH else ()
    identifier = reference.get("identifier") if isinstance(reference, dict) else None
    match identifier:
        case {"system": str(system), "value": str(value)} if system == RECIPIENT_CLASS:
            return class_names(value)
        case {"system": str(system), "value": str(value)} if system == RECIPIENT_ROLE:
            return (f"role:{value}",) if value in set(Role) else ()
        case _:
            return ()


def resolved(name: str) -> bool:
    """We know who this is; of a Group or CareTeam we know no members."""
    return name.startswith(("Organization/", "Practitioner/", "class:", "role:"))


def label(value: object) -> Confidentiality | Family | None:
    match coding(value):
        case (system, code) if system == CONFIDENTIALITY:
            return Confidentiality.__members__.get(code)
        case (system, code) if system == ACT_CODE and code not in NOT_SENSITIVITIES:
            return family(code)
        case _:
            return None


def resource_type(value: object) -> str | None:
    found = coding(value)
    known = found and found[0] == RESOURCE_TYPES and TYPE_NAME.fullmatch(found[1])
    return found[1] if found and known else None


def datum(value: object) -> Data | None:
    if not isinstance(value, dict) or value.keys() - {"id", "extension", "meaning", "reference"}:
        return None
    meaning = value.get("meaning")
    kind = MEANINGS.get(meaning) if isinstance(meaning, str) else None
    target = relative(value.get("reference"))
    return Data(kind, target) if kind and target else None


def relative(reference: object) -> str | None:
    """'Type/id' of a relative reference: the only kind we follow."""
    text = reference.get("reference") if isinstance(reference, dict) else None
    match = REFERENCE.fullmatch(text) if isinstance(text, str) else None
    return match[1] if match else None


def coding(value: object) -> Code | None:
    match value:
        case {"system": str(system), "code": str(code)}:
            return system, code
        case _:
            return None


def concept(value: object) -> list[Code]:
    """The codings of a CodeableConcept."""
    codings = value.get("coding") if isinstance(value, dict) else None
    return [found for found in map(coding, listed(codings)) if found]


def listed(value: object) -> Iterable[Any]:
    """An element that should repeat; a lone value where a list belongs counts as one entry."""
    if value is None:
        return ()
    return value if isinstance(value, list) else [value]
