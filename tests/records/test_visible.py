"""The read predicate equals a slow, plain evaluation of privacy section 5, on random small worlds.

The oracle below is written from the text, one row at a time, and shares no code with the SQL.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert, select

from service.records import tables
from service.records.view import (
    Caseload,
    Ceiling,
    Consented,
    Everyone,
    Nobody,
    OwnRecord,
    View,
)
from service.records.visible import parameters, visible
from service.vocabulary import (
    HOUSE,
    HOUSE_TYPES,
    OPEN_END,
    OPEN_START,
    SEPARATE,
    Confidentiality,
    Family,
    Micros,
    PatientId,
    ResourceId,
)


def fixed(number: int) -> str:
    return str(UUID(int=number, version=4))


PATIENTS = [fixed(1), fixed(2)]
PEOPLE = [fixed(11), fixed(12), fixed(13)]
CONSENTS = [fixed(21), fixed(22)]
TEAM = fixed(31)
PRINCIPAL = fixed(41)
RECIPIENTS = ["*", "Organization/a", "class:b"]
PURPOSES = ["TREAT", "HPAYMT", "BTG"]
TYPES = ["Patient", "Encounter", "DocumentReference", "Practitioner"]
TIMES = [OPEN_START, 10, 20, 30, 40, OPEN_END]
BITS = [Family(0), Family.SUD, Family.MH, Family.SUD | Family.HIV, Family.PSYTHPN]
AT = 25


@dataclass(frozen=True)
class Record:
    patient: str
    type: str
    id: str
    lo: int
    hi: int
    conf: int
    families: int
    audience: str
    author: str | None
    deleted: bool
    refers: tuple[tuple[str, str, str], ...]  # param, type, id
    old: tuple[int, int, str]  # labels of version 1; the record is at version 2


@dataclass(frozen=True)
class World:
    records: tuple[Record, ...]
    rules: tuple[dict[str, Any], ...]
    edges: tuple[tuple[str, str, int, int], ...]  # patient, practitioner
    charges: tuple[tuple[str, str, int, int], ...]  # supervisor, peer
    grants: tuple[tuple[str, str, int, int], ...]  # principal, patient


def world(dice: Random) -> World:
    """Dense enough for rules to meet: mostly wide spans, few consents, many '*'."""
    keys = []
    for number in range(24):
        type_ = dice.choice(TYPES)
        owner = HOUSE if type_ in HOUSE_TYPES else dice.choice((PATIENTS[0], *PATIENTS))
        keys.append((owner, type_, fixed(100 + number)))
    records = tuple(record(dice, key, keys) for key in keys)
    ids = [one.id for one in records[:4]] + PEOPLE[:2]
    edges = {(dice.choice(PATIENTS), dice.choice(PEOPLE)): span(dice) for _ in range(2)}
    charges = {(dice.choice(PEOPLE), dice.choice(PEOPLE)): span(dice) for _ in range(2)}
    grants = {(PRINCIPAL, dice.choice(PATIENTS)): span(dice) for _ in range(2)}
    rules = [rule(dice, ids) for _ in range(dice.choice((0, 1, 2, 4)))]
    for _ in range(dice.choice((0, 1, 2))):  # a base rule and its exception, as consents have them
        base, other = rule(dice, ids), rule(dice, ids)
        effects = dice.choice((("deny", "permit"), ("deny", "permit"), ("permit", "deny")))
        rules.append(base | {"effect": effects[0], "nested": False})
        rules.append(base | {
            "effect": effects[1], "nested": dice.random() < 0.8,
            "consent": dice.choice((base["consent"], base["consent"], other["consent"])),
            "conf": dice.choice((base["conf"], 5)), "families": other["families"],
        })  # fmt: skip
    return World(
        records,
        tuple(rules),
        *(tuple((*pair, *when) for pair, when in some.items())
          for some in (edges, charges, grants)),
    )  # fmt: skip


def span(dice: Random) -> tuple[int, int]:
    if dice.random() < 0.9:
        return OPEN_START, OPEN_END
    lo, hi = sorted(dice.sample(TIMES, 2))
    return lo, hi


def labels(dice: Random) -> tuple[int, int, str]:
    conf, families = dice.choice((0, 3, 4, 5)), int(dice.choice((Family(0), *BITS)))
    return conf, families, dice.choice(("team", "team", "team", "private"))


def record(dice: Random, key: tuple[str, str, str], keys: list[tuple[str, str, str]]) -> Record:
    refers = {
        (dice.choice(("subject", "author")), *other[1:])
        for other in dice.sample(keys, dice.choice((0, 1, 2)))
    }
    if dice.random() < 0.2:
        refers.add(("author", "Practitioner", PEOPLE[0]))
    author = dice.choice((None, *PEOPLE[:2]))
    return Record(
        *key, *span(dice), *labels(dice), author, dice.random() < 0.2, tuple(refers), labels(dice)
    )


def rule(dice: Random, ids: list[str]) -> dict[str, Any]:
    (lo, hi), (data_lo, data_hi) = span(dice), span(dice)
    kind = dice.choice((*[""] * 5, "instance", "related", "related", "author"))
    return {
        "patient": dice.choice((PATIENTS[0], PATIENTS[0], PATIENTS[1])),
        "consent": dice.choice(CONSENTS),
        "effect": dice.choice(("permit", "deny")),
        "nested": dice.random() < 0.5,
        "recipient": dice.choice((*["*"] * 6, *RECIPIENTS)),
        "purpose": dice.choice((*["*"] * 6, "TREAT", *PURPOSES)),
        "lo": lo,
        "hi": hi,
        "conf": dice.choice((0, 3, 5, 5, 5, 6)),
        "families": int(dice.choice((*BITS, *[Family(2**19 - 1)] * 4))),
        "data_lo": data_lo,
        "data_hi": data_hi,
        "type": dice.choice((*["*"] * 8, *TYPES)),
        "target": dice.choice(ids) if kind else None,
        "target_kind": kind,
    }


def a_view(dice: Random) -> View:
    every = Family(2**19 - 1)
    ceilings = {
        type_: Ceiling(
            dice.choice((*Confidentiality, *[Confidentiality.V] * 6)),
            dice.choice((*[every] * 4, every & ~SEPARATE, Family.SUD, Family(0))),
            dice.random() < 0.5,
        )
        for type_ in dice.sample(TYPES, dice.choice((1, 3, 4, 4)))
    }
    me = ResourceId(dice.choice(PEOPLE))
    return View(
        at=Micros(AT),
        principal=PRINCIPAL,
        ceilings=ceilings,
        writes=frozenset(),
        reach=dice.choice((
            OwnRecord(PatientId(dice.choice(PATIENTS))), Caseload(me), Caseload(me, True),  # noqa: FBT003
            Everyone(), Everyone(), Consented(), Consented(), Consented(), Nobody(),
        )),
        recipients=dice.choice((("*",), ("*", "Organization/a"), ("*", "class:b", "role:c"))),
        purpose=dice.choice((*["TREAT"] * 4, *PURPOSES)),
        author=dice.choice((None, *PEOPLE[:2])),
        bound_by_denials=dice.random() < 0.9,
    )  # fmt: skip


# The oracle.


def sees(  # noqa: PLR0911 (one way out per rule)
    world: World, view: View, one: Record, *, old: bool = False
) -> bool:
    """Whether `view` sees the record; with `old`, also its first version's labels must allow."""
    labels = [(one.conf, one.families, one.audience)] + ([one.old] if old else [])
    ceiling = view.ceilings.get(one.type)
    if ceiling is None:
        return False
    glass = view.purpose == "BTG"
    for conf, families, audience in labels:
        cleared = int(ceiling.families) & ~int(SEPARATE) if glass else int(ceiling.families)
        if conf > ceiling.conf or families & ~cleared:
            return False
        mine = one.author is not None and one.author == view.author
        if audience != "team" and not (
            ceiling.private or mine or isinstance(view.reach, OwnRecord)
        ):
            return False
    if one.type in HOUSE_TYPES:
        return True
    if glass and not any(
        who == view.principal and patient == one.patient and lo <= view.at < hi
        for who, patient, lo, hi in world.grants
    ):
        return False
    if not reaches_patient(world, view, one.patient, glass=glass):
        return False
    matching = [r for r in world.rules if matches(world, view, r, one, labels)]
    if view.bound_by_denials and any(denies(r, matching) for r in matching):
        return False
    needs_permit = isinstance(view.reach, Consented) and not glass
    return not needs_permit or any(r["effect"] == "permit" for r in matching)


def reaches_patient(world: World, view: View, patient: str, *, glass: bool) -> bool:
    match view.reach:
        case OwnRecord(own):
            return own == patient
        case Nobody():
            return False
        case Caseload(me, supervises) if not glass:
            mine = {me}
            if supervises:
                mine |= {p for boss, p, lo, hi in world.charges if boss == me and lo <= AT < hi}
            return any(p == patient and who in mine and lo <= AT < hi
                       for p, who, lo, hi in world.edges)  # fmt: skip
        case _:
            return True


def denies(rule: dict[str, Any], matching: list[dict[str, Any]]) -> bool:
    if rule["effect"] != "deny":
        return False
    return rule["nested"] or not any(
        other["effect"] == "permit" and other["nested"] and other["consent"] == rule["consent"]
        for other in matching
    )


def matches(
    world: World, view: View, rule: dict[str, Any], one: Record, labels: list[tuple[int, int, str]]
) -> bool:
    permit = rule["effect"] == "permit"
    named = rule["purpose"] == view.purpose or (rule["purpose"] == "*" and view.purpose != "BTG")
    if permit:
        dated = rule["data_lo"] <= one.lo and one.hi <= rule["data_hi"]
        labelled = all(
            conf <= rule["conf"] and not families & ~rule["families"]
            for conf, families, _ in labels
        )
    else:
        dated = one.lo < rule["data_hi"] and rule["data_lo"] < one.hi
        labelled = any(
            conf >= rule["conf"] or families & rule["families"] for conf, families, _ in labels
        )
    return bool(
        rule["patient"] == one.patient
        and rule["recipient"] in view.recipients
        and named
        and rule["lo"] <= view.at < rule["hi"]
        and rule["type"] in ("*", one.type)
        and dated
        and labelled
        and reached_by_target(world, rule, one, permit=permit)
    )


def reached_by_target(world: World, rule: dict[str, Any], one: Record, *, permit: bool) -> bool:
    target, kind = rule["target"], rule["target_kind"]
    refers = {id_ for _, _, id_ in one.refers}
    if kind == "related" and not permit and one.type != "Patient":
        for other in world.records:
            if other.id == target and other.patient == one.patient:
                refers |= {target} if (one.type, one.id) in {x[1:] for x in other.refers} else set()
    match kind:
        case "":
            return True
        case "instance":
            return bool(one.id == target)
        case "related":
            return one.id == target or target in refers
        case _:
            stated = {id_ for param, _, id_ in one.refers if param == "author"}
            return one.author == target or (not permit and target in stated)


# The database's answer.


def fill(connection: Connection, world: World) -> None:
    columns = set(tables.resource.c.keys())
    for number, one in enumerate(world.records):
        row = {k: v for k, v in vars(one).items() if k in columns}
        connection.execute(
            insert(tables.resource), row | {"version": 2, "seq": number, "updated": 0}
        )
        version = {
            "patient": one.patient, "type": one.type, "id": one.id, "version": 1, "seq": number,
            "updated": 0, "method": "POST", "conf": one.old[0], "families": one.old[1],
            "audience": one.old[2], "author": one.author, "entry": TEAM, "body": b"",
        }  # fmt: skip
        connection.execute(insert(tables.resource_version), version)
        for param, type_, id_ in one.refers:
            connection.execute(insert(tables.ix_reference), {
                "patient": one.patient, "type": one.type, "id": one.id, "param": param,
                "target_type": type_, "target_id": id_,
            })  # fmt: skip
    for number, rule in enumerate(world.rules):
        connection.execute(insert(tables.consent_rule), rule | {"number": number})
    for table, names, rows in (
        (tables.care_edge, ("patient", "practitioner", "lo", "hi", "source"),
         {(p, who, lo, TEAM): (p, who, lo, hi, TEAM) for p, who, lo, hi in world.edges}),
        (tables.supervision, ("supervisor", "peer", "lo", "hi"),
         {row[:3]: row for row in world.charges}),
        (tables.break_glass, ("principal", "patient", "lo", "hi", "id", "sealed"),
         {n: (*row, fixed(500 + n), b"") for n, row in enumerate(world.grants)}),
    ):  # fmt: skip
        for row in rows.values():
            connection.execute(insert(table), dict(zip(names, row, strict=True)))


r, v = tables.resource.alias("r"), tables.resource_version.alias("v")
VERSIONED = (v.c.patient == r.c.patient) & (v.c.type == r.c.type) & (v.c.id == r.c.id)


def seen(connection: Connection, view: View, **options: Any) -> set[str]:
    statement = select(r.c.id).where(visible(view, r, **options))
    if options.get("version") is not None:
        statement = statement.where(VERSIONED)
    if options.get("type"):
        statement = statement.where(r.c.type == options["type"])
    types = [options["type"]] if options.get("type") else []
    return set(connection.execute(statement, parameters(view, *types)).scalars())


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_the_database_shows_what_a_plain_evaluation_shows(
    connection: Connection, seed: int
) -> None:
    dice = Random(seed)  # noqa: S311 (a test)
    everything = world(dice)
    with connection.begin() as transaction:
        fill(connection, everything)
        for view in (a_view(dice) for _ in range(12)):
            shown = {one.id for one in everything.records if sees(everything, view, one)}
            there = {one.id for one in everything.records if not one.deleted}
            type_ = dice.choice(TYPES)
            mine = {one.id for one in everything.records if one.type == type_}
            past = {one.id for one in everything.records if sees(everything, view, one, old=True)}
            assert seen(connection, view, deleted=True) == shown
            assert seen(connection, view) == shown & there
            assert seen(connection, view, type=type_) == shown & there & mine
            assert seen(connection, view, version=v, deleted=True) == past
        transaction.rollback()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_one_more_deny_never_shows_more(connection: Connection, seed: int) -> None:
    dice = Random(seed)  # noqa: S311 (a test)
    everything, view = world(dice), a_view(dice)
    with connection.begin() as transaction:
        fill(connection, everything)
        before = seen(connection, view)
        for number in range(99, 104):
            extra = rule(dice, [fixed(100), fixed(101)]) | {"effect": "deny", "number": number}
            connection.execute(insert(tables.consent_rule), extra)
            after = seen(connection, view)
            assert after <= before
            before = after
        transaction.rollback()


# The cases that random worlds seldom meet.

P, ENCOUNTER, NOTE, ABOUT, GOAL = PATIENTS[0], fixed(101), fixed(102), fixed(103), fixed(104)
PLAIN = Record(
    P, "Patient", P, OPEN_START, OPEN_END, 3, 0, "team", author=None, deleted=False, refers=(),
    old=(3, 0, "team"),
)  # fmt: skip
SMALL = (
    replace(PLAIN, refers=()),
    replace(PLAIN, type="Encounter", id=ENCOUNTER, author=PEOPLE[0],
            refers=(("subject", "Patient", P), ("diagnosis", "Encounter", ABOUT))),
    replace(PLAIN, type="DocumentReference", id=NOTE, author=PEOPLE[1],
            refers=(("encounter", "Encounter", ENCOUNTER), ("author", "Practitioner", PEOPLE[0]))),
    replace(PLAIN, type="Encounter", id=ABOUT),
    replace(PLAIN, type="DocumentReference", id=GOAL),
)  # fmt: skip
EVERYTHING = {one.id for one in SMALL}
BASE = {
    "patient": P, "consent": CONSENTS[0], "effect": "deny", "nested": False, "recipient": "*",
    "purpose": "*", "lo": OPEN_START, "hi": OPEN_END, "conf": 0, "families": 0,
    "data_lo": OPEN_START, "data_hi": OPEN_END, "type": "*", "target": None, "target_kind": "",
}  # fmt: skip
OPEN = BASE | {"effect": "permit", "conf": 5, "families": 2**19 - 1}
NESTED = {"nested": True}
CASES: dict[str, tuple[list[dict[str, Any]], bool, set[str]]] = {
    "a base deny": ([BASE], False, set()),
    "its exception": ([BASE, OPEN | NESTED], False, EVERYTHING),
    "an exception of another consent": (
        [BASE, OPEN | NESTED | {"consent": CONSENTS[1]}], False, set()),
    "a base permit is no exception": ([BASE, OPEN], False, set()),
    "a nested deny beats its exception": ([BASE | NESTED, OPEN | NESTED], False, set()),
    "no permit, outside": ([], True, set()),
    "a permit, outside": ([OPEN], True, EVERYTHING),
    "a permit of one record": (
        [OPEN | {"target": ENCOUNTER, "target_kind": "instance"}], True, {ENCOUNTER}),
    "a permit of a record and what refers to it": (
        [OPEN | {"target": ENCOUNTER, "target_kind": "related"}], True, {ENCOUNTER, NOTE}),
    "a deny also of what it refers to, but the participant": (
        [BASE | {"target": ENCOUNTER, "target_kind": "related"}], False, {P, GOAL}),
    "a permit of what somebody wrote": (
        [OPEN | {"target": PEOPLE[0], "target_kind": "author"}], True, {ENCOUNTER}),
    "a deny of what anybody says they wrote": (
        [BASE | {"target": PEOPLE[0], "target_kind": "author"}], False, {P, ABOUT, GOAL}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_consents_are_read_as_written(connection: Connection, case: str) -> None:
    rules, outside, expected = CASES[case]
    small = World(SMALL, tuple(rules), (), (), ())
    view = View(
        at=Micros(AT), principal=PRINCIPAL, ceilings=dict.fromkeys(TYPES, Ceiling()),
        writes=frozenset(), reach=Consented() if outside else Everyone(), recipients=("*",),
        purpose="TREAT",
    )  # fmt: skip
    with connection.begin() as transaction:
        fill(connection, small)
        assert {one.id for one in SMALL if sees(small, view, one)} == expected
        assert seen(connection, view) == expected
        btg = replace(view, purpose="BTG")  # nobody was granted anything
        assert seen(connection, btg) == set()
        transaction.rollback()
