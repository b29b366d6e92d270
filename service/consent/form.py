"""Is a Consent a written consent as 42 CFR 2.31(a) wants it? One code for each element missing.

R4 Consent has no place for most elements of the form, so each is read from the nearest place an
EHR or our own consent capture can fill; docs/decisions/0003-consent-reading.md gives the reasons.

    (a)(1)  patient's name            Consent.patient (the name is in that Patient)
    (a)(2)  who discloses             Consent.organization, or an actor in role CST
    (a)(3)  what information          data criteria, the signed form (source[x]) or narrative
    (a)(4)  recipients                actors in role IRCP or PRCP: named, or a class
            intermediary              an actor in our role 'intermediary', beside its members
            (iii) HIPAA redisclosure  statement 'hipaa-redisclosure' (TPO)
    (a)(5)  purposes                  provision.purpose ("at the request of the patient": PATRQT)
    (a)(6)  right to revoke           statement 'revocation'
    (a)(7)  expiry                    provision.period.end or extension expiry-event; none: TPO
    (a)(8)  signature                 performer, and source[x], a true verification or extension
                                      signature; a representative is also an actor GUARD, POWATT
    (a)(9)  date                      Consent.dateTime
    (a)(10) statements                'redisclosure' and 'refusal' (TPO)

Statements are made by extension `statement` (our capture), or by a policy known to contain them.
Faults void permits, never denials.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from typing import Any

from service.consent.directive import (
    DISCLOSER_ROLES,
    REPRESENTATIVE_ROLES,
    Code,
    Directive,
    Provision,
    concept,
    listed,
    parse,
    relative,
)
from service.consent.purposes import TPO
from service.consent.recipients import RECIPIENT_ROLE
from service.vocabulary import ACT_CODE, OPEN_END, SEPARATE, Family, Purpose

EXTENSION = "https://peernotes.example/fhir/StructureDefinition/consent-"
STATEMENT, EXPIRY_EVENT, SIGNATURE = (
    f"{EXTENSION}{name}" for name in ("statement", "expiry-event", "signature")
)
CONSENT_POLICIES = "http://terminology.hl7.org/CodeSystem/consentpolicycodes"
OUR_FORM = "https://peernotes.example/consent/42-cfr-part-2"
INTERMEDIARY: Code = (RECIPIENT_ROLE, "intermediary")
MEMBERS = ("Practitioner/", "Organization/", "class:treating-provider")


class Statement(StrEnum):
    """What the form must tell the patient."""

    REVOCATION = "revocation"
    HIPAA_REDISCLOSURE = "hipaa-redisclosure"
    REDISCLOSURE = "redisclosure"
    REFUSAL = "refusal"


ALL = frozenset(Statement)
POLICIES: Mapping[Code, frozenset[Statement]] = {
    (ACT_CODE, "42CFRPart2CD"): ALL,
    (CONSENT_POLICIES, "hipaa-auth"): ALL - {Statement.HIPAA_REDISCLOSURE},  # 45 CFR 164.508(c)
}
"""Consent.policyRule codings whose forms contain the statements."""
POLICY_URIS: Mapping[str, frozenset[Statement]] = {OUR_FORM: ALL}
"""Consent.policy.uri likewise."""


class Fault(StrEnum):
    """The paragraph of 42 CFR 2.31 that a form does not meet."""

    PATIENT = "2.31(a)(1)"
    DISCLOSER = "2.31(a)(2)"
    INFORMATION = "2.31(a)(3)"
    RECIPIENT = "2.31(a)(4)(i)"
    INTERMEDIARY = "2.31(a)(4)(ii)"
    HIPAA_REDISCLOSURE = "2.31(a)(4)(iii)"
    PURPOSE = "2.31(a)(5)"
    REVOCATION = "2.31(a)(6)"
    EXPIRY = "2.31(a)(7)"
    SIGNATURE = "2.31(a)(8)"
    DATE = "2.31(a)(9)"
    STATEMENTS = "2.31(a)(10)"
    SEPARATE_NOTES = "2.31(b)"
    PROCEEDINGS = "2.31(d)"


@dataclass(frozen=True, slots=True)
class Form:
    """A Consent beside its reading, and its permits: (recipients, purposes) inherited."""

    consent: dict[str, Any]
    directive: Directive
    permits: tuple[tuple[Provision, Provision], ...]  # (rule, root)

    @property
    def purposes(self) -> frozenset[str]:
        return frozenset(code for rule, root in self.permits
                         for code in (rule.purposes.known or root.purposes.known))  # fmt: skip

    @property
    def for_tpo(self) -> bool:
        return bool(self.purposes & TPO)


def faults(consent: dict[str, Any], zone: tzinfo) -> tuple[Fault, ...]:
    """What is missing, in the order of the rule; nothing for a Consent that permits nothing."""
    return faults_of(consent, parse(consent, zone))


def faults_of(consent: dict[str, Any], directive: Directive) -> tuple[Fault, ...]:
    """The same, of a Consent already read."""
    root = directive.root
    rules = (root, *root.provisions) if root else ()
    permits = tuple((rule, root) for rule in rules if root and rule.effect == "permit")
    if not permits:
        return ()
    form = Form(consent, directive, permits)
    return tuple(dict.fromkeys([*parties(form), *terms(form), *signing(form), *limits(form)]))


def parties(form: Form) -> Iterator[Fault]:
    """(1) to (4): whose information, from whom, which, to whom."""
    roles = [codes for _, codes in actors(form.consent)]
    if form.directive.patient is None or not form.directive.patient.startswith("Patient/"):
        yield Fault.PATIENT
    if not form.consent.get("organization") and not any(r & DISCLOSER_ROLES for r in roles):
        yield Fault.DISCLOSER
    described = signed_form(form.consent) or bool(form.consent.get("text"))
    if not described and not all(rule.scoped or root.scoped for rule, root in form.permits):
        yield Fault.INFORMATION
    named = [rule.recipients.known or root.recipients.known for rule, root in form.permits]
    if not all(named):
        yield Fault.RECIPIENT
    between = {who for who, codes in actors(form.consent) if INTERMEDIARY in codes}
    members = [set(names) - between for names in named]
    if between and not all(x and all(n.startswith(MEMBERS) for n in x) for x in members):
        yield Fault.INTERMEDIARY


def terms(form: Form) -> Iterator[Fault]:
    """(4)(iii), (5), (6), (7), (10): for what, until when, and what the patient was told."""
    told = statements(form.consent)
    if form.for_tpo and Statement.HIPAA_REDISCLOSURE not in told:
        yield Fault.HIPAA_REDISCLOSURE
    if not all(rule.purposes.stated or root.purposes.stated for rule, root in form.permits):
        yield Fault.PURPOSE
    if Statement.REVOCATION not in told:
        yield Fault.REVOCATION
    event = any(True for _ in extensions(form.consent, EXPIRY_EVENT))
    if not event and not form.purposes <= TPO and not all(map(ends, form.permits)):
        yield Fault.EXPIRY
    if form.for_tpo and not {Statement.REDISCLOSURE, Statement.REFUSAL} <= told:
        yield Fault.STATEMENTS


def signing(form: Form) -> Iterator[Fault]:
    """(8) and (9): by the patient, or by a representative whose authority is recorded."""
    signers = [relative(signer) for signer in listed(form.consent.get("performer"))]
    authorised = {who for who, codes in actors(form.consent) if codes & REPRESENTATIVE_ROLES}
    entitled = any(who and (who == form.directive.patient or who in authorised) for who in signers)
    if not entitled or not evidence(form.consent):
        yield Fault.SIGNATURE
    if not isinstance(form.consent.get("dateTime"), str):
        yield Fault.DATE


def limits(form: Form) -> Iterator[Fault]:
    """(b) and (d): what may stand in no consent but its own."""
    labels = [rule.labels.known or root.labels.known for rule, root in form.permits]
    named = [frozenset(x for x in known if isinstance(x, Family)) for known in labels]
    separate = any(x & SEPARATE for families in named for x in families)
    if separate and (len(set(named)) > 1 or len(named[0]) > 1):
        yield Fault.SEPARATE_NOTES
    if Purpose.HLEGAL in form.purposes and len(form.purposes) > 1:
        yield Fault.PROCEEDINGS


def ends(permit: tuple[Provision, Provision]) -> bool:
    """A date on which it loses its force."""
    return any(hi < OPEN_END for rule in permit for _, hi in rule.period.known)


def statements(consent: dict[str, Any]) -> frozenset[Statement]:
    told = {
        Statement(value)
        for extension in extensions(consent, STATEMENT)
        if (value := extension.get("valueCode")) in set(Statement)
    }
    for code in concept(consent.get("policyRule")):
        told |= POLICIES.get(code, frozenset())
    for policy in listed(consent.get("policy")):
        uri = policy.get("uri") if isinstance(policy, dict) else None
        told |= POLICY_URIS.get(uri, frozenset()) if isinstance(uri, str) else frozenset()
    return frozenset(told)


def evidence(consent: dict[str, Any]) -> bool:
    """That somebody signed: the form itself, a verification of it, or a FHIR Signature."""
    verified = any(
        isinstance(check, dict) and check.get("verified") is True
        for check in listed(consent.get("verification"))
    )
    return verified or signed_form(consent) or any(True for _ in extensions(consent, SIGNATURE))


def signed_form(consent: dict[str, Any]) -> bool:
    return bool(consent.get("sourceReference") or consent.get("sourceAttachment"))


def extensions(consent: dict[str, Any], url: str) -> Iterator[dict[str, Any]]:
    for extension in listed(consent.get("extension")):
        if isinstance(extension, dict) and extension.get("url") == url:
            yield extension


def actors(consent: dict[str, Any]) -> list[tuple[str | None, set[Code]]]:
    """Actors of the base rule with their roles."""
    provision = consent.get("provision")
    found = listed(provision.get("actor")) if isinstance(provision, dict) else ()
    return [
        (relative(actor.get("reference")), set(concept(actor.get("role"))))
        for actor in found
        if isinstance(actor, dict)
    ]
