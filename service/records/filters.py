"""Filters of a query as SQL over an alias of `resource`.

The SQL follows from a filter's *outline* alone (names, tests, prefixes, one or many); values are
bound when it runs, so equal outlines share one compiled statement. Every hop of a chain selects
through `visible`, or values of hidden records could be guessed (privacy, section 8, 23-26).
Within a participant a condition is a correlated EXISTS, one look into a primary key; across
participants a positive one is an IN, from which the database may start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    String,
    Text,
    and_,
    bindparam,
    exists,
    false,
    literal_column,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from service.database.metadata import DIGEST, GUID
from service.records.conditions import Condition, Test
from service.records.parameters import MAIN_DATE, Kind, Parameter, Source
from service.records.query import Chained, Filter, Reversed
from service.records.tables import ix_date, ix_identifier, ix_reference, ix_token, resource
from service.records.values import Prefix, Span
from service.records.visible import Shape, predicate
from service.vocabulary import HOUSE

Sql = ColumnElement[bool]
INT = BigInteger()
TARGET = (String(32), GUID)


@dataclass(frozen=True, slots=True)
class Outline:
    """A filter without its values. `prefixes`: of its dates; `many`: more than one value.

    `seen`: what `visible` is for the type a chain leads to. `tests` is how it compares.
    """

    type: str
    parameter: Parameter
    test: Test
    many: bool
    prefixes: tuple[Prefix, ...] = ()
    target: str = ""
    seen: Shape | None = None
    inner: "Outline | None" = None
    reverse: bool = False


def outline(found: Filter, seen: Callable[[str], Shape]) -> Outline:
    """The outline of a filter, `seen` giving the shape of the view for a type."""
    match found:
        case Condition(type_, parameter, test, values):
            prefixes = tuple(value.prefix for value in values if isinstance(value, Span))
            return Outline(type_, parameter, test, found.many, prefixes)
        case Chained(type_, parameter, target, inner):
            return Outline(type_, parameter, Test.IS, many=False, target=target,
                           seen=seen(target), inner=outline(inner, seen))  # fmt: skip
        case Reversed(type_, parameter, source, inner):
            return Outline(type_, parameter, Test.IS, many=False, target=source, reverse=True,
                           seen=seen(source), inner=outline(inner, seen))  # fmt: skip


def build(found: Outline, row: FromClause, slot: str, *, anchored: bool) -> Sql:
    """The predicate on `row`; its values are named `<slot>...` (see binds.py)."""
    if found.inner is not None:
        return _hop(found, found.inner, row, slot, anchored=anchored)
    match found.parameter.source:
        case Source.DIRECTORY:
            return Listed(row.c.id, bindparam(f"{slot}ids", type_=Text()))
        case Source.IDENTIFIER:
            return _identifier(found, row, slot)
        case Source.COLUMN if found.test is not Test.IDENTIFIER:
            return _column(found, row, slot)
        case _:
            return _indexed(found, row, slot, anchored=anchored)


def _indexed(found: Outline, row: FromClause, slot: str, *, anchored: bool) -> Sql:
    match found.parameter.kind, found.test:
        case _, Test.MISSING:
            return ~_present(found, row)
        case _, Test.PRESENT:
            return _present(found, row)
        case Kind.DATE, _:
            return _date(found, row, slot)
        case Kind.REFERENCE, Test.IS:
            return _reference(found, row, slot, anchored=anchored)
        case _:
            return _token(found, row, slot, anchored=anchored)


def _rows(table: FromClause, found: Outline, param: str) -> tuple[FromClause, Sql]:
    """An alias of an index table and the condition that it holds rows of this parameter."""
    ix = table.alias()
    return ix, and_(
        ix.c.type == literal_column(f"'{found.type}'"), ix.c.param == literal_column(f"'{param}'")
    )


def _own(ix: FromClause, row: FromClause) -> Sql:
    return and_(ix.c.patient == row.c.patient, ix.c.id == row.c.id)


def _present(found: Outline, row: FromClause) -> Sql:
    parameter = found.parameter
    if parameter.kind is Kind.REFERENCE:
        ix, rows = _rows(ix_reference, found, parameter.index)
        if parameter.rows:  # reads another's rows, of its own target types only
            names = [literal_column(f"'{name}'", String) for name in parameter.targets]
            rows = and_(rows, ix.c.target_type.in_(names))
    else:
        table = ix_date if parameter.kind is Kind.DATE else ix_token
        ix, rows = _rows(table, found, parameter.index)
    return exists().where(rows, _own(ix, row))


def _token(found: Outline, row: FromClause, slot: str, *, anchored: bool) -> Sql:
    param = found.parameter.index
    if found.test is Test.IDENTIFIER:
        param += ":identifier"
    ix, rows = _rows(ix_token, found, param)
    meets = _one_or_many(ix.c.hash, f"{slot}hash", INT, many=found.many)
    if found.test is Test.NOT:
        return ~exists().where(rows, meets, _own(ix, row))
    if anchored:
        return exists().where(rows, meets, _own(ix, row))
    return row.c.id.in_(select(ix.c.id).where(rows, meets))


def _one_or_many(
    column: ColumnElement[Any], name: str, kind: TypeEngine[Any], *, many: bool
) -> Sql:
    if many:
        return column.in_(bindparam(name, type_=kind, expanding=True))
    return column == bindparam(name, type_=kind)


def _identifier(found: Outline, row: FromClause, slot: str) -> Sql:
    ix = ix_identifier.alias()
    rows = ix.c.type == literal_column(f"'{found.type}'")
    own = exists().where(rows, _own(ix, row))
    match found.test:
        case Test.MISSING:
            return ~own
        case Test.PRESENT:
            return own
        case _:
            pass
    meets = ix.c.digest.in_(bindparam(f"{slot}digest", type_=DIGEST, expanding=True))
    if found.test is Test.NOT:
        return ~exists().where(rows, meets, _own(ix, row))
    return row.c.id.in_(select(ix.c.id).where(rows, meets))


def _reference(found: Outline, row: FromClause, slot: str, *, anchored: bool) -> Sql:
    ix, rows = _rows(ix_reference, found, found.parameter.index)
    meets: Sql
    if found.many:
        meets = tuple_(ix.c.target_type, ix.c.target_id).in_(bindparam(f"{slot}to", expanding=True))
    else:
        meets = and_(
            ix.c.target_type == bindparam(f"{slot}type", type_=String(32)),
            ix.c.target_id == bindparam(f"{slot}id", type_=GUID),
        )
    if anchored:
        return exists().where(rows, meets, _own(ix, row))
    return row.c.id.in_(select(ix.c.id).where(rows, meets))


def _date(found: Outline, row: FromClause, slot: str) -> Sql:
    """The main date stands on the row: its range is read from there, then made sure of."""
    name = found.parameter.name
    ix, rows = _rows(ix_date, found, name)
    if MAIN_DATE.get(found.type) != name:
        return exists().where(rows, _own(ix, row), _spans(found, ix.c.lo, ix.c.hi, slot))
    same = and_(ix.c.lo == row.c.lo, ix.c.hi == row.c.hi)  # none, where lastUpdated stands in
    return and_(_spans(found, row.c.lo, row.c.hi, slot), exists().where(rows, _own(ix, row), same))


def _spans(
    found: Outline, lo: ColumnElement[int], hi: ColumnElement[int], slot: str
) -> Sql:  # fmt: skip
    return or_(*(
        compare(prefix, lo, hi, bindparam(f"{slot}a{n}", type_=INT),
                bindparam(f"{slot}b{n}", type_=INT))
        for n, prefix in enumerate(found.prefixes)
    ))  # fmt: skip


def compare(  # noqa: PLR0911 (nine prefixes)
    prefix: Prefix,
    lo: ColumnElement[int],
    hi: ColumnElement[int],
    a: ColumnElement[int],
    b: ColumnElement[int],
) -> Sql:
    """A date found, [lo, hi), against one searched, [a, b) (FHIR reference, 1.3)."""
    match prefix:
        case Prefix.EQ:
            return and_(lo >= a, lo < b, hi <= b)  # lo < b follows; it bounds the index range
        case Prefix.NE:
            return or_(lo < a, hi > b)
        case Prefix.GT:
            return hi > b
        case Prefix.LT:
            return lo < a
        case Prefix.GE:
            return or_(hi > b, lo >= a)
        case Prefix.LE:
            return or_(lo < a, hi <= b)
        case Prefix.SA:
            return lo >= b
        case Prefix.EB:
            return hi <= a
        case Prefix.AP:
            return and_(lo < b, hi > a)


def _column(found: Outline, row: FromClause, slot: str) -> Sql:  # noqa: PLR0911 (a table)
    match found.parameter.kind, found.test:
        case Kind.DATE, Test.IS:
            return _spans(found, row.c.updated, row.c.updated + literal_column("1"), slot)
        case Kind.DATE | Kind.TOKEN, Test.MISSING:  # ids and times never miss
            return false()
        case Kind.DATE | Kind.TOKEN, Test.PRESENT:
            return true()
        case Kind.TOKEN, Test.NOT:
            return ~row.c.id.in_(bindparam(f"{slot}ids", type_=GUID, expanding=True))
        case Kind.TOKEN, _:
            return _one_or_many(row.c.id, f"{slot}ids", GUID, many=found.many)
        case _, Test.MISSING:
            return row.c.patient == literal_house()
        case _, Test.PRESENT:
            return row.c.patient != literal_house()
        case _:
            return row.c.patient.in_(bindparam(f"{slot}ids", type_=GUID, expanding=True))


def literal_house() -> ColumnElement[str]:
    """The owner of what concerns no participant; the same in every statement."""
    return bindparam("house", HOUSE, type_=GUID, unique=True)


def _hop(found: Outline, inner: Outline, row: FromClause, slot: str, *, anchored: bool) -> Sql:
    there = resource.alias()
    assert found.seen is not None  # noqa: S101 (outline() gives every hop one)
    meets = and_(
        there.c.type == literal_column(f"'{found.target}'"),
        predicate(found.seen, there),
        build(inner, there, f"{slot}i_", anchored=anchored),
    )
    source, target = (there, row) if found.reverse else (row, there)
    parameter = found.parameter
    if parameter.source is Source.COLUMN:
        return exists().where(source.c.patient == target.c.id, meets)
    ix, _ = _rows(ix_reference, found, parameter.index)
    owner = found.target if found.reverse else found.type
    led = found.type if found.reverse else found.target
    link = and_(
        ix.c.type == literal_column(f"'{owner}'"),
        ix.c.param == literal_column(f"'{parameter.index}'"),
        ix.c.patient == source.c.patient, ix.c.id == source.c.id,
        ix.c.target_type == literal_column(f"'{led}'"), ix.c.target_id == target.c.id,
    )  # fmt: skip
    return exists().where(link, meets)


class Listed(FunctionElement[bool]):
    """An id among many, handed over as one JSON value: no limit on their count to run into."""

    inherit_cache = True
    type = Boolean()


@compiles(Listed, "sqlite")
def _listed_sqlite(element: Listed, compiler: SQLCompiler, **options: object) -> str:
    id_, ids = (compiler.process(one, **options) for one in element.clauses)
    return f"{id_} IN (SELECT value FROM json_each({ids}))"  # noqa: S608 (compiled parts)


@compiles(Listed, "postgresql")
def _listed_postgresql(element: Listed, compiler: SQLCompiler, **options: object) -> str:
    id_, ids = (compiler.process(one, **options) for one in element.clauses)
    listed = f"json_array_elements_text(CAST({ids} AS json))"
    return f"{id_} IN (SELECT CAST(value AS uuid) FROM {listed})"  # noqa: S608 (compiled parts)
