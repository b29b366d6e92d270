"""A Consent compiled into the rows that the store's one read predicate evaluates.

Rows are written in the transaction that stores the Consent. What rows cannot express is refused
(422), so that no rule is ever stored and not enforced. A deny that we understand only in part is
not refused but widened (what is unread matches); a permit that could never open anything is.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import tzinfo
from itertools import chain, islice, product
from typing import Any

from service.consent import form
from service.consent.directive import Criterion, Data, Directive, Effect, Interval, Provision, parse
from service.consent.families import denies, permits
from service.consent.purposes import ANY_BUT_BTG, KNOWN, covered, struck
from service.consent.recipients import ANYONE
from service.consent.rule import NO_FLOOR, Rule, TargetKind
from service.errors import Invalid, Issue
from service.vocabulary import (
    EVERY_SENSITIVITY,
    OPEN_END,
    OPEN_START,
    Confidentiality,
    Family,
    Micros,
    ResourceId,
)

MOST_ROWS = 1_000
MOST_ENTRIES = 200  # of one kind in one rule: rows are a product of kinds
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ALWAYS = (OPEN_START, OPEN_END)


def compile_rules(
    consent: dict[str, Any], *, received: Micros, zone: tzinfo, part2: bool = True
) -> tuple[Rule, ...]:
    """The rows of one Consent; none unless it is active.

    Raises Invalid for what rows cannot express. With `part2`, a form that 42 CFR 2.31(a) calls
    deficient voids its permits: form.faults() says what is missing.
    """
    directive = parse(consent, zone)
    root = directive.root
    if not directive.active:
        return ()
    refuse(directive)
    if root is None:
        return ()
    sound = not directive.unread and not (part2 and form.faults_of(consent, directive))
    written = chain(base_rows(root), *(nested_rows(root, rule) for rule in root.provisions))
    rows = list(islice(written, MOST_ROWS + 1))
    if len(rows) > MOST_ROWS:
        raise Invalid(f"This consent compiles to more than {MOST_ROWS} rules; split it.")
    if not all(row.target is None or UUID.fullmatch(row.target) for row in rows):
        text = "No record here has such an id: ids are lower-case UUIDs."
        raise Invalid(text, Issue("not-found", text, "Consent.provision.data.reference"))
    return tuple(
        replace(row, lo=max(row.lo, received))
        for row in dict.fromkeys(rows)
        if received < row.hi and (sound or row.effect == "deny")
    )


def refuse(directive: Directive) -> None:
    """Everything at once, as issues with FHIRPaths and no values."""
    issues = [Issue("not-supported", "Not evaluated here.", f"Consent.{name}")
              for name in sorted(directive.unread - {"scope"})]  # fmt: skip
    if directive.patient is None:
        issues.append(Issue("required", "A consent names its patient.", "Consent.patient"))
    root = directive.root
    if root is None or root.effect is None:
        text = "Say permit or deny: an untyped base rule has no agreed meaning."
        issues.append(Issue("required", text, "Consent.provision.type"))
    elif any(map(crowded, (root, *root.provisions))):
        text = f"More than {MOST_ENTRIES} entries of one kind in one rule."
        issues.append(Issue("too-costly", text, "Consent.provision"))
    else:
        issues.extend(unusable(root))
    if issues:
        raise Invalid("This consent cannot be enforced as written.", *issues)


def crowded(rule: Provision) -> bool:
    kinds = (rule.recipients.known, rule.purposes.known, rule.types.known, rule.data.known)
    return any(len(entries) > MOST_ENTRIES for entries in kinds)


def unusable(root: Provision) -> Iterator[Issue]:
    """Permits that could never open anything (silence would leave their author in the dark), and
    rules of a third level.
    """
    text = "As written this permit opens nothing: something in it is not evaluated here."
    if root.effect == "permit" and not any(base_rows(root)):
        yield Issue("not-supported", text, "Consent.provision")
    for number, rule in enumerate(root.provisions):
        path = f"Consent.provision.provision[{number}]"
        if rule.effect == "permit" and not any(nested_rows(root, rule)):
            yield Issue("not-supported", text, path)
        if rule.provisions:
            level = "A third level of rules has no agreed meaning."
            yield Issue("not-supported", level, f"{path}.provision")


def base_rows(root: Provision) -> Iterator[Rule]:
    effect: Effect = root.effect or "deny"
    if effect == "deny" or not root.unread:
        yield from rows(effect, (root,), root)


def nested_rows(root: Provision, rule: Provision) -> Iterator[Rule]:
    if rule.effect != "permit":
        yield from rows("deny", (root, rule), rule)
    elif not rule.unread and not root.unread:
        for scope in opened(root, rule):
            yield from rows("permit", (root, rule), scope)


def opened(root: Provision, rule: Provision) -> list[Provision]:
    """Row 6 of the reading: what a nested permit opens."""
    if root.effect != "permit":
        return [rule]
    if not rule.scoped:
        return [root]
    return [root, rule] if rule.purposes.stated else [rule]


def rows(effect: Effect, above: tuple[Provision, ...], scope: Provision) -> Iterator[Rule]:
    label = permit_label(scope.labels) if effect == "permit" else deny_label(scope.labels)
    if label is None:
        return
    who = recipients(effect, nearest([rule.recipients for rule in above]))
    why = purposes(effect, nearest([rule.purposes for rule in above]))
    when = common([spans(effect, rule.period) for rule in above])
    where = list(product(kinds(effect, scope.types), targets(effect, scope.data)))
    during = spans(effect, scope.data_period)
    if when is None:
        return
    for recipient, purpose, (kind, target), (data_lo, data_hi) in product(who, why, where, during):
        placed = place(kind, target)
        if placed:
            yield Rule(
                effect, len(above) > 1, recipient, purpose, when[0], when[1], label[0], label[1],
                data_lo, data_hi, *placed,
            )  # fmt: skip


def nearest(levels: list[Criterion[str]]) -> Criterion[str]:
    for level in reversed(levels):
        if level.stated:
            return level
    return Criterion()


def recipients(effect: Effect, criterion: Criterion[str]) -> Iterable[str]:
    if not criterion.stated or (effect == "deny" and criterion.unread):
        return [ANYONE]
    return criterion.known


def purposes(effect: Effect, criterion: Criterion[str]) -> Iterable[str]:
    """Codes of our list only: nobody can claim another. '*' besides named codes is for BTG."""
    reach = covered if effect == "permit" else struck
    named = {code for known in criterion.known for code in reach(known) if code in KNOWN}
    if not criterion.stated or (effect == "deny" and criterion.unread):
        return sorted({ANY_BUT_BTG} | (named & {"BTG"}))
    return sorted(named)


def spans(effect: Effect, criterion: Criterion[Interval]) -> Iterable[Interval]:
    if not criterion.stated or (effect == "deny" and criterion.unread):
        return [ALWAYS]
    return criterion.known


def common(periods: list[Iterable[Interval]]) -> Interval | None:
    """The time in which all rules of a chain are in force; a Period is at most one interval."""
    lo, hi = ALWAYS
    for period in periods:
        for start, end in period or [(OPEN_END, OPEN_START)]:
            lo, hi = max(lo, start), min(hi, end)
    return (lo, hi) if lo < hi else None


def kinds(effect: Effect, criterion: Criterion[str]) -> Iterable[str]:
    if not criterion.stated or (effect == "deny" and criterion.unread):
        return ["*"]
    return criterion.known


def targets(effect: Effect, criterion: Criterion[Data]) -> Iterable[Data | None]:
    if not criterion.stated or (effect == "deny" and criterion.unread):
        return [None]
    return criterion.known


def place(kind: str, data: Data | None) -> tuple[str, ResourceId | None, TargetKind] | None:
    """Type, target and how they meet; None if an instance is of another type than asked for."""
    if data is None:
        return kind, None, ""
    type_, _, id_ = data.target.partition("/")
    if data.kind != "instance":
        return kind, ResourceId(id_), data.kind
    return (type_, ResourceId(id_), "instance") if kind in ("*", type_) else None


def permit_label(labels: Criterion[Confidentiality | Family]) -> tuple[int, Family] | None:
    """Ceiling and cleared families; separate notes only by name, unknown codes never."""
    if not labels.stated:
        return Confidentiality.V, EVERY_SENSITIVITY
    levels = [x for x in labels.known if isinstance(x, Confidentiality)]
    named = union(x for x in labels.known if isinstance(x, Family)) & ~Family.OTHER
    if not levels and not named:
        return None
    return max(levels, default=Confidentiality.R), permits(named)


def deny_label(labels: Criterion[Confidentiality | Family]) -> tuple[int, Family]:
    """Floor and hit families."""
    if not labels.stated or labels.unread:
        return Confidentiality.U, Family(0)
    levels = [int(x) for x in labels.known if isinstance(x, Confidentiality)]
    named = union(x for x in labels.known if isinstance(x, Family))
    return min(levels, default=int(NO_FLOOR)), denies(named)


def union(families: Iterable[Family]) -> Family:
    whole = Family(0)
    for family in families:
        whole |= family
    return whole
