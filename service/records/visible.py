"""The one read predicate (design D3): a View as SQL over `resource`, and over its versions.

    type, conf, families and audience within the role's ceiling
    and the patient is reached: own record, caseload, everyone, consent, or a break-glass grant
    and no deny in force hits the row (a root deny loses to a nested permit of its own consent)
    and, for an outside recipient, a permit in force covers it          (privacy, section 5)

`visible()` names its values and never holds them: the SQL depends on the kind of view alone, so one
statement serves every caller of that kind. Execute with `parameters`; a statement run without
them fails, it never reads more.

A type that concerns no participant needs no reach. Under BTG the grant stands for reach and permit,
only rules that say BTG bind, and separate notes stay closed. What a rule's target reaches is said
in consent/rule.py.
"""

from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    SmallInteger,
    and_,
    bindparam,
    case,
    false,
    literal_column,
    or_,
    select,
    true,
)

from service.database.metadata import GUID
from service.records.listed import one_of
from service.records.tables import break_glass, care_edge, consent_rule, ix_reference, supervision
from service.records.view import Caseload, Ceiling, Consented, Everyone, Nobody, OwnRecord, View
from service.vocabulary import HOUSE_TYPES, SEPARATE, Purpose

Condition = ColumnElement[bool]

AT = bindparam("v_at", type_=BigInteger)
ANY: ColumnElement[str] = literal_column("'*'")
INSTANCE: ColumnElement[str] = literal_column("'instance'")
RELATED: ColumnElement[str] = literal_column("'related'")
AUTHOR: ColumnElement[str] = literal_column("'author'")
STATED: tuple[ColumnElement[str], ...] = tuple(
    literal_column(f"'{name}'")
    for name in (
        "agent", "asserter", "author", "consentor", "participant", "performer", "practitioner",
        "recorder", "requester", "sender", "source", "*",
    )
)  # fmt: skip
"""Search parameters of those whom a record calls its authors; '*' for what none names."""
HOUSE_LIST: tuple[ColumnElement[str], ...] = tuple(
    literal_column(f"'{name}'") for name in sorted(HOUSE_TYPES)
)
CLOSED = Ceiling()
OURS = frozenset({"ve", "vs", "vg", "vd", "vn", "vp", "vl"})
"""Short: psycopg keeps statements of up to 4096 characters, and splits longer ones anew."""
NONE: ColumnElement[int] = literal_column("1")
"""Bits & x < 1: for "= 0" PostgreSQL guesses one row in 200, and plans badly."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the structure of the predicate; equal shapes share their SQL.

    `type`: the one type asked for, or None for all, in `groups` of equal ceilings.
    """

    reach: str
    supervises: bool
    glass: bool
    denials: bool
    type: str | None
    groups: int


def shape(view: View, type: str | None = None) -> Shape:
    """The kind of this view, for one type or for all; hashable, to cache statements by."""
    return Shape(
        reach=view.reach.__class__.__name__,
        supervises=isinstance(view.reach, Caseload) and view.reach.supervises,
        glass=view.purpose == Purpose.BTG,
        denials=view.bound_by_denials,
        type=type,
        groups=int(type in view.ceilings) if type else len(set(view.ceilings.values())),
    )


def visible(
    view: View,
    row: FromClause,
    *,
    type: str | None = None,
    version: FromClause | None = None,
    deleted: bool = False,
) -> Condition:
    """Whether `view` sees `row`, an alias of `resource`; run it with `parameters(view)`.

    `type`: pinned by the statement; run it with `parameters(view, type)`. `version`: an alias of
    resource_version joined to `row`, whose labels are also tested. `deleted`: tombstones pass.
    """
    return predicate(shape(view, type), row, version, deleted)


@lru_cache(maxsize=2048)
def predicate(
    kind: Shape,
    row: FromClause,
    version: FromClause | None = None,
    deleted: bool = False,  # noqa: FBT001, FBT002 (a cache key)
) -> Condition:
    """`visible` for a shape: for rooms that cache whole statements by it."""
    if getattr(row, "name", "") in OURS:
        raise ValueError("An alias of this name would stand for another table further in.")
    if kind.groups == 0:
        return false()
    labels = (row,) if version is None else (row, version)
    parts = [] if deleted else [row.c.deleted == false()]
    if kind.type:
        parts.append(_within(kind.type, labels))
        if kind.type not in HOUSE_TYPES:
            parts.append(_reached(kind, row, labels))
        return and_(*parts)
    ceilings = (
        and_(one_of(row.c.type, f"v_types_{n}"), _within(str(n), labels))
        for n in range(kind.groups)
    )
    return and_(
        *parts, or_(*ceilings), or_(row.c.type.in_(HOUSE_LIST), _reached(kind, row, labels))
    )


def parameters(view: View, *types: str) -> dict[str, object]:
    """The values `visible` names: asked for these types one by one, or else for all at once."""
    values: dict[str, object] = {
        "v_at": view.at,
        "v_principal": view.principal,
        "v_author": view.author,
        "v_recipients": view.recipients,
        "v_purposes": (view.purpose,) if view.purpose == Purpose.BTG else (view.purpose, "*"),
    }
    match view.reach:
        case OwnRecord(patient):
            values["v_patient"] = patient
        case Caseload(practitioner):
            values["v_practitioner"] = practitioner
        case Everyone() | Consented() | Nobody():
            pass
    for name in types:
        _limit(values, view, name, view.ceilings.get(name, CLOSED))
    if not types:
        groups: dict[Ceiling, list[str]] = {}
        for name, ceiling in view.ceilings.items():
            groups.setdefault(ceiling, []).append(name)
        for number, (ceiling, names) in enumerate(groups.items()):
            values[f"v_types_{number}"] = names
            _limit(values, view, str(number), ceiling)
    return values


def _limit(values: dict[str, object], view: View, slot: str, ceiling: Ceiling) -> None:
    cleared = ceiling.families
    if view.purpose == Purpose.BTG:
        cleared &= ~SEPARATE
    values[f"v_conf_{slot}"] = int(ceiling.conf)
    values[f"v_bars_{slot}"] = ~int(cleared) & 0x7FFF_FFFF
    values[f"v_private_{slot}"] = ceiling.private or isinstance(view.reach, OwnRecord)


def _within(slot: str, labels: tuple[FromClause, ...]) -> Condition:
    conf = bindparam(f"v_conf_{slot}", type_=SmallInteger)
    bars = bindparam(f"v_bars_{slot}", type_=Integer)
    private = bindparam(f"v_private_{slot}", type_=Boolean)
    author = bindparam("v_author", type_=GUID)
    team: ColumnElement[str] = literal_column("'team'")
    return and_(*(
        and_(one.c.conf <= conf, one.c.families.bitwise_and(bars) < NONE,
             or_(one.c.audience == team, one.c.author == author, private == true()))
        for one in labels
    ))  # fmt: skip


def _reached(kind: Shape, row: FromClause, labels: tuple[FromClause, ...]) -> Condition:
    parts: list[Condition] = []
    match kind.reach:
        case Nobody.__name__:
            return false()
        case OwnRecord.__name__:
            parts.append(row.c.patient == bindparam("v_patient", type_=GUID))
        case Caseload.__name__ if not kind.glass:
            parts.append(_in_caseload(row, supervises=kind.supervises))
        case Consented.__name__ if not kind.glass:
            parts.append(_permitted(row, labels))
        case Caseload.__name__ | Consented.__name__ | Everyone.__name__:
            pass
        case _:
            return false()
    if kind.glass:
        parts.append(_granted(row))
    if kind.denials:
        parts.append(~_denied(row, labels))
    return and_(true(), *parts)


def _in_caseload(row: FromClause, *, supervises: bool) -> Condition:
    edge, charge = care_edge.alias("ve"), supervision.alias("vs")
    me = bindparam("v_practitioner", type_=GUID)
    here = and_(edge.c.patient == row.c.patient, edge.c.lo <= AT, edge.c.hi > AT)
    own = _some(edge, here, edge.c.practitioner == me)
    if not supervises:
        return own
    peers = _some(
        charge, charge.c.supervisor == me, charge.c.peer == edge.c.practitioner,
        charge.c.lo <= AT, charge.c.hi > AT,
    )  # fmt: skip
    return _some(edge, here, or_(edge.c.practitioner == me, peers))


def _granted(row: FromClause) -> Condition:
    grant = break_glass.alias("vg")
    return _some(
        grant, grant.c.principal == bindparam("v_principal", type_=GUID),
        grant.c.patient == row.c.patient, grant.c.lo <= AT, grant.c.hi > AT,
    )  # fmt: skip


def _denied(row: FromClause, labels: tuple[FromClause, ...]) -> Condition:
    deny, nested = consent_rule.alias("vd"), consent_rule.alias("vn")
    excepted = _some(
        nested, nested.c.consent == deny.c.consent, nested.c.nested == true(),
        _covers(nested, row, labels),
    )  # fmt: skip
    return _row_by_row(_some(
        deny, _applies(deny, row, "deny"),
        or_(*(
            or_(one.c.conf >= deny.c.conf,
                one.c.families.bitwise_and(deny.c.families) != literal_column("0"))
            for one in labels
        )),
        row.c.lo < deny.c.data_hi, row.c.hi > deny.c.data_lo,
        or_(_aimed(deny, row), _referred(deny, row), _stated(deny, row)),
        or_(deny.c.nested == true(), ~excepted),
    ))  # fmt: skip


def _permitted(row: FromClause, labels: tuple[FromClause, ...]) -> Condition:
    permit = consent_rule.alias("vp")
    return _row_by_row(_some(permit, _covers(permit, row, labels)))


def _covers(permit: FromClause, row: FromClause, labels: tuple[FromClause, ...]) -> Condition:
    return and_(
        _applies(permit, row, "permit"),
        *(and_(one.c.conf <= permit.c.conf,
               one.c.families.bitwise_and(permit.c.families.bitwise_not()) < NONE)
          for one in labels),
        row.c.lo >= permit.c.data_lo, row.c.hi <= permit.c.data_hi,
        _aimed(permit, row),
    )  # fmt: skip


def _applies(rule: FromClause, row: FromClause, effect: str) -> Condition:
    return and_(
        rule.c.patient == row.c.patient, rule.c.effect == literal_column(f"'{effect}'"),
        one_of(rule.c.recipient, "v_recipients"),
        one_of(rule.c.purpose, "v_purposes"),
        rule.c.lo <= AT, rule.c.hi > AT,
        or_(rule.c.type == ANY, rule.c.type == row.c.type),
    )  # fmt: skip


def _aimed(rule: FromClause, row: FromClause) -> Condition:
    """Without a target; or the row is it, refers to it, or was written by it."""
    kind, link = rule.c.target_kind, ix_reference.alias("vl")
    return or_(
        kind == literal_column("''"),
        and_(or_(kind == INSTANCE, kind == RELATED), row.c.id == rule.c.target),
        and_(kind == AUTHOR, row.c.author == rule.c.target),
        _some(link, kind == RELATED, *_from(link, row), link.c.target_id == rule.c.target),
    )


def _stated(rule: FromClause, row: FromClause) -> Condition:
    """Anybody states that the rule's target wrote the row."""
    kind, link = rule.c.target_kind, ix_reference.alias("vl")
    return _some(
        link, kind == AUTHOR, *_from(link, row), link.c.target_id == rule.c.target,
        link.c.param.in_(STATED),
    )  # fmt: skip


def _referred(rule: FromClause, row: FromClause) -> Condition:
    """The rule's target refers to the row. Everything refers to its participant: not meant."""
    kind, link = rule.c.target_kind, ix_reference.alias("vl")
    return _some(
        link, kind == RELATED, row.c.type != literal_column("'Patient'"),
        link.c.patient == row.c.patient, link.c.id == rule.c.target,
        link.c.target_type == row.c.type, link.c.target_id == row.c.id,
    )  # fmt: skip


def _from(link: FromClause, row: FromClause) -> tuple[Condition, ...]:
    return (link.c.patient == row.c.patient, link.c.type == row.c.type, link.c.id == row.c.id)


def _row_by_row(condition: Condition) -> Condition:
    """Asked of each row in the order of its index. As a join, PostgreSQL guesses that hardly a
    row comes through, and reads and sorts all of them to find the newest twenty.
    """
    return case((condition, true()), else_=false()) == true()


def _some(rows: FromClause, *conditions: Condition) -> Condition:
    """EXISTS over `rows` alone: every other table stands further out, however deep we are."""
    return select(literal_column("1")).where(*conditions).correlate_except(rows).exists()
