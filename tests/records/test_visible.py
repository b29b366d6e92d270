"""The read predicate equals a slow, plain evaluation of privacy section 5, on random small worlds.

The oracle below is written from the text, one row at a time, and shares no code with the SQL.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
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


spans = (
    st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES))
    .map(sorted)
    .filter(lambda span: span[0] < span[1])
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    keys = []
    for number in range(draw(st.integers(1, 5))):
        type_ = draw(st.sampled_from(TYPES))
        owner = HOUSE if type_ in HOUSE_TYPES else draw(st.sampled_from(PATIENTS))
        keys.append((owner, type_, fixed(100 + number)))
    records = tuple(draw(record(key, keys)) for key in keys)
    ids = [one.id for one in records] + PEOPLE[:1]
    rules = draw(st.lists(rule(ids), max_size=5))
    relation = st.tuples(st.sampled_from(PEOPLE), spans)
    patients = st.sampled_from(PATIENTS)
    return World(
        records,
        tuple(rules),
        tuple((p, who, *span) for p, (who, span) in draw(_some(st.tuples(patients, relation)))),
        tuple((boss, who, *span)
              for boss, (who, span) in draw(_some(st.tuples(st.sampled_from(PEOPLE), relation)))),
        tuple((PRINCIPAL, p, *span) for p, span in draw(_some(st.tuples(patients, spans)))),
    )  # fmt: skip


def _some(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(strategy, max_size=3, unique_by=repr)


@st.composite
def record(draw: st.DrawFn, key: tuple[str, str, str], keys: list[tuple[str, str, str]]) -> Record:
    lo, hi = draw(spans)
    links = st.tuples(st.sampled_from(["subject", "author"]), st.sampled_from(keys))
    labels = st.tuples(
        st.integers(0, 5), st.sampled_from(BITS).map(int), st.sampled_from(["team", "private"])
    )
    conf, families, audience = draw(labels)
    refers = {
        (param, type_, id_) for param, (_, type_, id_) in draw(st.lists(links, max_size=2))
    } | {("author", "Practitioner", who) for who in draw(st.sets(st.just(PEOPLE[0])))}
    return Record(
        *key, lo, hi, conf, families, audience, draw(st.sampled_from([None, *PEOPLE[:2]])),
        draw(st.booleans()), tuple(sorted(refers)), draw(labels),
    )  # fmt: skip


@st.composite
def rule(draw: st.DrawFn, ids: list[str]) -> dict[str, Any]:
    (lo, hi), (data_lo, data_hi) = draw(spans), draw(spans)
    kind = draw(st.sampled_from(["", "", "instance", "related", "author"]))
    return {
        "patient": draw(st.sampled_from(PATIENTS)),
        "consent": draw(st.sampled_from(CONSENTS)),
        "effect": draw(st.sampled_from(["permit", "deny"])),
        "nested": draw(st.booleans()),
        "recipient": draw(st.sampled_from(RECIPIENTS)),
        "purpose": draw(st.sampled_from(["*", *PURPOSES])),
        "lo": lo,
        "hi": hi,
        "conf": draw(st.integers(0, 6)),
        "families": int(draw(st.sampled_from([*BITS, Family(2**19 - 1)]))),
        "data_lo": data_lo,
        "data_hi": data_hi,
        "type": draw(st.sampled_from(["*", *TYPES])),
        "target": draw(st.sampled_from(ids)) if kind else None,
        "target_kind": kind,
    }


ceilings = st.builds(
    Ceiling,
    conf=st.sampled_from(list(Confidentiality)[2:]),
    families=st.sampled_from([Family(0), Family.SUD, Family(2**19 - 1) & ~SEPARATE,
                              Family(2**19 - 1)]),
    private=st.booleans(),
)  # fmt: skip
reaches = st.one_of(
    st.builds(OwnRecord, st.sampled_from(PATIENTS)),
    st.builds(Caseload, st.sampled_from(PEOPLE), st.booleans()),
    st.just(Everyone()), st.just(Consented()), st.just(Consented()), st.just(Nobody()),
)  # fmt: skip
views = st.builds(
    View,
    at=st.just(Micros(AT)),
    principal=st.just(PRINCIPAL),
    ceilings=st.dictionaries(st.sampled_from(TYPES), ceilings, min_size=1),
    writes=st.just(frozenset()),
    reach=reaches,
    recipients=st.sampled_from([("*",), ("*", "Organization/a"), ("*", "class:b", "role:c")]),
    purpose=st.sampled_from(PURPOSES),
    author=st.sampled_from([None, *PEOPLE[:2]]),
    bound_by_denials=st.booleans(),
)


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


def one_of_each(world: World) -> World:
    """As the primary keys keep them: the last of what starts alike."""
    return replace(
        world,
        edges=tuple({row[:3]: row for row in world.edges}.values()),
        charges=tuple({row[:3]: row for row in world.charges}.values()),
    )


r, v = tables.resource.alias("r"), tables.resource_version.alias("v")
VERSIONED = (v.c.patient == r.c.patient) & (v.c.type == r.c.type) & (v.c.id == r.c.id)


def seen(connection: Connection, view: View, **options: Any) -> set[str]:
    statement = select(r.c.id).where(visible(view, r, **options))
    if options.get("version") is not None:
        statement = statement.where(VERSIONED)
    if options.get("type"):
        statement = statement.where(r.c.type == options["type"])
    return set(connection.execute(statement, parameters(view)).scalars())


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


@settings(max_examples=60, suppress_health_check=[
    HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(world=worlds().map(one_of_each), some=st.lists(views, min_size=3, max_size=6))
def test_the_database_shows_what_a_plain_evaluation_shows(
    connection: Connection, world: World, some: list[View]
) -> None:
    with connection.begin() as transaction:
        fill(connection, world)
        for view in some:
            expected = {one.id for one in world.records if sees(world, view, one)}
            there = {one.id for one in world.records if not one.deleted}
            assert seen(connection, view, deleted=True) == expected
            assert seen(connection, view) == expected & there
            for type_ in TYPES:
                mine = {one.id for one in world.records if one.type == type_}
                assert seen(connection, view, type=type_) == expected & there & mine
            history = {one.id for one in world.records if sees(world, view, one, old=True)}
            assert seen(connection, view, version=v, deleted=True) == history
        transaction.rollback()


@settings(max_examples=60, suppress_health_check=[
    HealthCheck.function_scoped_fixture, HealthCheck.too_slow])  # fmt: skip
@given(world=worlds().map(one_of_each), view=views, extra=rule([fixed(100), fixed(101)]))
def test_one_more_deny_never_shows_more(
    connection: Connection, world: World, view: View, extra: dict[str, Any]
) -> None:
    with connection.begin() as transaction:
        fill(connection, world)
        before = seen(connection, view)
        connection.execute(insert(tables.consent_rule), extra | {"effect": "deny", "number": 99})
        assert seen(connection, view) <= before
        transaction.rollback()
