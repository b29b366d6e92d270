"""Compiled rows evaluated in plain Python: the reference for the store's SQL.

    denied    = EXISTS deny row d that matches, and (d.nested or NOT EXISTS a nested permit row of
                the same consent that matches)
    permitted = NOT denied AND EXISTS permit row that matches

Equal to decision.decide() on the same consents: a law, tested on random ones.
"""

from collections.abc import Iterable, Sequence

from service.consent.decision import Verdict
from service.consent.element import Asker, Element
from service.consent.purposes import ANY_BUT_BTG
from service.consent.recipients import ANYONE
from service.consent.rule import Rule
from service.vocabulary import Purpose


def evaluate(consents: Iterable[Sequence[Rule]], element: Element, asker: Asker) -> Verdict:
    """`consents`: the rows of one participant, those of each Consent together."""
    matching = [[row for row in rows if matches(row, element, asker)] for rows in consents]
    if any(denied(rows) for rows in matching):
        return Verdict.DENY
    if any(row.effect == "permit" for rows in matching for row in rows):
        return Verdict.PERMIT
    return Verdict.SILENT


def denied(matching: Sequence[Rule]) -> bool:
    excepted = any(row.effect == "permit" and row.nested for row in matching)
    return any(row.effect == "deny" and (row.nested or not excepted) for row in matching)


def matches(row: Rule, element: Element, asker: Asker) -> bool:
    """One row against one record: every column the row has."""
    return (
        (row.recipient == ANYONE or row.recipient in asker.names)
        and for_purpose(row.purpose, asker.purpose)
        and row.lo <= asker.at < row.hi
        and row.type in ("*", element.type)
        and (permit_fits(row, element) if row.effect == "permit" else deny_hits(row, element))
        and at_target(row, element)
    )


def for_purpose(named: str, claimed: str) -> bool:
    return named == claimed or (named == ANY_BUT_BTG and claimed != Purpose.BTG)


def permit_fits(row: Rule, element: Element) -> bool:
    return (
        element.conf <= row.conf
        and not element.families & ~row.families
        and row.data_lo <= element.lo
        and element.hi <= row.data_hi
    )


def deny_hits(row: Rule, element: Element) -> bool:
    labelled = element.conf >= row.conf or bool(element.families & row.families)
    return labelled and element.lo < row.data_hi and element.hi > row.data_lo


def at_target(row: Rule, element: Element) -> bool:
    deny = row.effect == "deny"
    match row.target_kind:
        case "":
            return True
        case "instance":
            return element.id == row.target
        case "related":
            return (
                element.id == row.target
                or row.target in ids(element.refers)
                or (deny and element.type != "Patient" and row.target in ids(element.referred))
            )
        case "author":
            stated = ids(element.authors) if deny else frozenset()
            return row.target in ids(filter(None, [element.author])) | stated


def ids(references: Iterable[str]) -> frozenset[str]:
    """Ids are UUIDs, unique across types: the row holds no type for its target."""
    return frozenset(reference.partition("/")[2] for reference in references)
