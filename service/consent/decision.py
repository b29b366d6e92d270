"""What consents on file say about one record: slow, clear, on the parsed directives.

Step 7 of the decision (privacy, section 5), written to be read beside it. The service answers by
compiled rows instead (compile.py, evaluate.py and the store's SQL); this is what they are tested
against, so it shares no code with them beyond the tables of codes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from service.consent.directive import Criterion, Data, Directive, Effect, Interval, Provision
from service.consent.element import Asker, Element
from service.consent.families import denies, permits
from service.consent.purposes import covered, struck
from service.consent.recipients import ANYONE
from service.vocabulary import EVERY_SENSITIVITY, Confidentiality, Family, Micros, Purpose


class Verdict(StrEnum):
    PERMIT = "permit"
    DENY = "deny"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Held:
    """A consent on file: when the server received it, and whether its form can carry a permit."""

    directive: Directive
    received: Micros
    valid: bool = True  # 42 CFR 2.31; a faulty form voids permits, never denials


def decide(consents: Iterable[Held], element: Element, asker: Asker) -> Verdict:
    """Any deny wins, else any permit; neither dates nor order matter (row 7)."""
    verdicts = {verdict(held, element, asker) for held in consents}
    for strongest in (Verdict.DENY, Verdict.PERMIT):
        if strongest in verdicts:
            return strongest
    return Verdict.SILENT


def verdict(held: Held, element: Element, asker: Asker) -> Verdict:
    """One consent: a nested deny, else a nested permit, else its root, else silence."""
    directive = held.directive
    if not directive.active or directive.patient is None or asker.at < held.received:
        return Verdict.SILENT
    root = directive.root
    rules = chains((root,)) if root else ()
    if any(nested_deny(chain, element, asker) for chain in rules):
        return Verdict.DENY
    if root is None or (root.effect is None and directive.optout):
        return opted_out(directive, asker)
    sound = held.valid and not directive.unread and not root.unread
    return weigh(root, element, asker, sound=sound)


def weigh(root: Provision, element: Element, asker: Asker, *, sound: bool) -> Verdict:
    """A base rule and its permitting exceptions; an untyped one can only deny (row 1)."""
    permits_nested = sound and root.effect is not None
    if permits_nested and any(nested_permit(root, x, element, asker) for x in root.provisions):
        return Verdict.PERMIT
    effect: Effect = root.effect or "deny"
    if not (applies((root,), effect, asker) and in_scope(root, effect, element)):
        return Verdict.SILENT
    if effect == "deny":
        return Verdict.DENY
    return Verdict.PERMIT if sound else Verdict.SILENT


def opted_out(directive: Directive, asker: Asker) -> Verdict:
    """An untyped rule under OPTOUT denies whatever its criteria say; unruled OPTIN is silent."""
    denied = directive.optout and asker.purpose != Purpose.BTG
    return Verdict.DENY if denied else Verdict.SILENT


def chains(above: tuple[Provision, ...]) -> Iterable[tuple[Provision, ...]]:
    """Every nested rule with the rules above it, root first, at any depth."""
    for child in above[-1].provisions:
        yield (*above, child)
        yield from chains((*above, child))


def nested_deny(chain: tuple[Provision, ...], element: Element, asker: Asker) -> bool:
    """A deny counts at any level, an untyped rule is one (rows 1, 13)."""
    rule = chain[-1]
    if rule.effect == "permit":
        return False
    return applies(chain, "deny", asker) and in_scope(rule, "deny", element)


def nested_permit(root: Provision, rule: Provision, element: Element, asker: Asker) -> bool:
    """A permit counts at the second level only; row 6 says which data it opens."""
    if rule.effect != "permit" or rule.unread or not applies((root, rule), "permit", asker):
        return False
    scopes = [rule]
    if root.effect == "permit" and not rule.scoped:
        scopes = [root]
    elif root.effect == "permit" and rule.purposes.stated:
        scopes = [root, rule]
    return any(in_scope(scope, "permit", element) for scope in scopes)


def applies(chain: tuple[Provision, ...], effect: Effect, asker: Asker) -> bool:
    """Time, recipient and purpose; the last two come from above where a rule is silent."""
    recipients = inherited([rule.recipients for rule in chain])
    purposes = inherited([rule.purposes for rule in chain])
    return (
        all(in_time(rule.period, effect, asker.at) for rule in chain)
        and to_recipient(recipients, effect, asker)
        and for_purpose(purposes, effect, asker.purpose)
    )


def inherited(levels: list[Criterion[str]]) -> Criterion[str]:
    stated = [level for level in levels if level.stated]
    return stated[-1] if stated else Criterion()


def in_time(period: Criterion[Interval], effect: Effect, at: Micros) -> bool:
    if not period.stated or (effect == "deny" and period.unread):
        return True
    return any(lo <= at < hi for lo, hi in period.known)


def to_recipient(recipients: Criterion[str], effect: Effect, asker: Asker) -> bool:
    if not recipients.stated or (effect == "deny" and recipients.unread):
        return True
    return not asker.names.isdisjoint({*recipients.known} - {ANYONE})


def for_purpose(purposes: Criterion[str], effect: Effect, purpose: str) -> bool:
    """No purpose stated means any but BTG, which must be named: by a permit to open, and by a
    deny too, for only "not even in emergency" stands against a broken glass (section 6).
    """
    if effect == "permit":
        if not purposes.stated:
            return purpose != Purpose.BTG
        return any(purpose in covered(code) for code in purposes.known)
    if (not purposes.stated or purposes.unread) and purpose != Purpose.BTG:
        return True
    return any(purpose in struck(code) for code in purposes.known)


def in_scope(rule: Provision, effect: Effect, element: Element) -> bool:
    """Kinds of criteria are ANDed, entries of one kind ORed."""
    if effect == "permit":
        return (
            opens_labels(rule.labels, element)
            and (not rule.types.stated or element.type in rule.types.known)
            and (not rule.data.stated or any(opens_data(d, element) for d in rule.data.known))
            and (not rule.data_period.stated or inside(rule.data_period, element))
        )
    return (
        closes_labels(rule.labels, element)
        and (not rule.types.stated or rule.types.unread or element.type in rule.types.known)
        and (
            not rule.data.stated
            or rule.data.unread
            or any(closes_data(d, element) for d in rule.data.known)
        )
        and (
            not rule.data_period.stated
            or rule.data_period.unread
            or any(element.lo < hi and element.hi > lo for lo, hi in rule.data_period.known)
        )
    )


def inside(data_period: Criterion[Interval], element: Element) -> bool:
    return any(lo <= element.lo and element.hi <= hi for lo, hi in data_period.known)


def opens_labels(labels: Criterion[Confidentiality | Family], element: Element) -> bool:
    """A permit that names any label must name every sensitivity; its level is a ceiling.

    One that names sensitivities alone reaches up to R, the level they imply; one that names none
    is unlimited, yet never opens separate notes.
    """
    if not labels.stated:
        return not element.families & ~EVERY_SENSITIVITY
    levels = [x for x in labels.known if isinstance(x, Confidentiality)]
    named = [x for x in labels.known if isinstance(x, Family) and x != Family.OTHER]
    if not levels and not named:
        return False
    opened = Family(0)
    for sensitivity in named:
        opened |= permits(sensitivity)
    return element.conf <= max(levels, default=Confidentiality.R) and not element.families & ~opened


def closes_labels(labels: Criterion[Confidentiality | Family], element: Element) -> bool:
    """A deny's level is a floor, and any one of its sensitivities hits."""
    if not labels.stated or labels.unread:
        return True
    return any(
        element.conf >= named
        if isinstance(named, Confidentiality)
        else bool(element.families & denies(named))
        for named in labels.known
    )


def opens_data(data: Data, element: Element) -> bool:
    match data.kind:
        case "instance":
            return data.target == element.reference
        case "related":
            return data.target == element.reference or data.target in element.refers
        case "author":
            return data.target == element.author


def closes_data(data: Data, element: Element) -> bool:
    """Row 12: a deny looks in both directions, one hop; the Patient, to which everything refers,
    is not taken along.
    """
    match data.kind:
        case "instance":
            return data.target == element.reference
        case "related":
            return (
                data.target == element.reference
                or data.target in element.refers
                or (data.target in element.referred and element.type != "Patient")
            )
        case "author":
            return data.target == element.author or data.target in element.authors
