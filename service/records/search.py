"""Searches the store: one statement per page, only through `visible`, by keyset (FHIR ref., 1.5).

A statement is made once per *shape* (kind of view, outlines of filters, order) and kept; values
are bound when it runs. The page is cut in the inner statement, before a body is touched. Nothing
is filtered after the database, so totals and next links are right by construction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
)

from service.database.metadata import GUID
from service.errors import Malformed
from service.keys.keyring import Keyring
from service.records import pages
from service.records.binds import Owners, Values, bind, named
from service.records.conditions import Condition, Test
from service.records.directory import Directory
from service.records.filters import Outline, build, outline
from service.records.includes import TooMany, included, opened
from service.records.pages import Holder
from service.records.parameters import Kind, Source
from service.records.query import Chained, Filter, Query, Reversed, Sort
from service.records.stored import Stored
from service.records.tables import consent_epoch, resource, resource_version
from service.records.view import OwnRecord, View
from service.records.visible import Shape, parameters, predicate, shape
from service.vocabulary import Micros

MOST_COUNTED = 10_000
MOST_OWNERS = 1_000

r = resource.alias("r")
v = resource_version.alias("v")


@dataclass(frozen=True, slots=True)
class Page:
    """Matches in order, what they include, the total if asked for and countable, the next page."""

    stored: tuple[Stored, ...]
    included: tuple[Stored, ...] = ()
    total: int | None = None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """The shape of a search: whatever decides its SQL. `owners`: none, one or many named."""

    type: str
    seen: Shape
    filters: tuple[Outline, ...]
    owners: str
    sort: Sort
    descending: bool
    after: bool


@dataclass(frozen=True, slots=True)
class Searcher:
    """The hands of one act: its transaction, its view, and whom a next link is for."""

    connection: Connection
    keyring: Keyring
    view: View
    directory: Directory
    holder: Holder
    at: Micros

    def page(self, query: Query) -> Page:
        """One page of what the view sees; empty, never an error, where it sees nothing."""
        owners = self._named(query)
        if owners is not None and not owners:
            return Page((), total=0 if query.total or query.count_only else None)
        filters = _beyond_owners(query)
        if any(_in_directory(one) for one in filters):
            self.directory.refresh(self.connection)
        statement = self._statement(query, filters, owners)
        values = self._values(query, filters, owners)
        if query.count_only:
            return Page((), total=self._total(statement, values))
        return self._cut(query, statement, values)

    def _cut(self, query: Query, statement: Statement, values: Values) -> Page:
        """As many matches as asked for, fewer if what they include would not fit beside them."""
        limit = query.count
        rows = self.connection.execute(_page(statement), values | {"most": limit + 1}).all()
        epoch = self._epoch(statement, values, query, rows)
        pages.demand_epoch(query, epoch)
        beside, limit = self._beside(query, rows, limit)
        matches = rows[:limit]
        stored = tuple(opened(self.connection, self.keyring, query.type, row) for row in matches)
        following = None
        if len(rows) > limit:
            last = matches[-1]
            following = pages.seal(
                self.keyring, query, (last.key, last.id), self.holder, epoch=epoch, at=self.at
            )
        total = self._total(statement, values) if query.total else None
        return Page(stored, beside, total, following)

    def _epoch(
        self,
        statement: Statement,
        values: dict[str, object],
        query: Query,
        rows: Sequence[Row[Any]],
    ) -> int:
        """The page's own statement tells it; a page that came out empty may hide a revocation."""
        if rows:
            return int(rows[0].epoch)  # PostgreSQL sums to numeric
        if query.after is None:
            return query.epoch
        return int(self.connection.execute(_epoch_alone(statement), values).scalar_one())

    def _beside(
        self, query: Query, rows: Sequence[Row[Any]], limit: int
    ) -> tuple[tuple[Stored, ...], int]:
        """What the first matches include, and how many matches that allows."""
        while True:
            matches = [(row.patient, row.id) for row in rows[:limit]]
            try:
                return included(self.connection, self.keyring, self.view, query, matches), limit
            except TooMany:
                if len(matches) == 1:
                    raise
            limit = len(matches) // 2

    def _total(self, statement: Statement, values: Values) -> int | None:
        """Exact up to 10,000; beyond that unsaid, never estimated."""
        counted = _count(replace(statement, after=False))
        found = self.connection.execute(counted, values).scalar_one()
        return found if found <= MOST_COUNTED else None

    def _statement(
        self, query: Query, filters: tuple[Filter, ...], owners: frozenset[str] | None
    ) -> Statement:
        seen = partial(shape, self.view)
        return Statement(
            query.type, seen(query.type), tuple(outline(one, seen) for one in filters),
            "any" if owners is None else "one" if len(owners) == 1 else "many",
            query.sort, query.descending, query.after is not None,
        )  # fmt: skip

    def _values(
        self, query: Query, filters: tuple[Filter, ...], owners: frozenset[str] | None
    ) -> Values:
        values = parameters(self.view, query.type, *_hops(filters))
        by = Owners(owners, self._visible_owners)
        for number, one in enumerate(filters):
            values |= bind(one, f"f{number}_", by, self.keyring.blind, self.directory)
        if owners is not None:
            values["patient"] = next(iter(owners)) if len(owners) == 1 else sorted(owners)
        if query.after:
            values["after_key"], values["after_id"] = query.after
        return values

    def _named(self, query: Query) -> frozenset[str] | None:
        found = named(query)
        match self.view.reach:
            case OwnRecord(patient) if query.type != "Patient" or found is not None:
                mine = frozenset({str(patient)})
                return mine if found is None else found & mine
        return found

    def _visible_owners(self, type_: str) -> list[str]:
        """Participants with something of this type to see: salts of a search that names none."""
        values = parameters(self.view, type_) | {"most": MOST_OWNERS + 1}
        found = self.connection.execute(_owners(type_, shape(self.view, type_)), values)
        owners = [str(one) for one in found.scalars()]
        if len(owners) > MOST_OWNERS:
            raise Malformed("Name the participant to search by this parameter.")
        return owners


def _beyond_owners(query: Query) -> tuple[Filter, ...]:
    """The filters but those that only name the participant: these became the row's patient."""
    return tuple(one for one in query.filters if not _names_owner(one))


def _names_owner(found: Filter) -> bool:
    return (
        isinstance(found, Condition)
        and found.test is Test.IS
        and found.parameter.source is Source.COLUMN
        and found.parameter.kind is Kind.REFERENCE
    )


def _in_directory(found: Filter) -> bool:
    match found:
        case Chained(inner=inner) | Reversed(inner=inner):
            return _in_directory(inner)
        case Condition(parameter=parameter):
            return parameter.source is Source.DIRECTORY


def _hops(filters: Iterable[Filter]) -> set[str]:
    """The types that chains lead through; `visible` needs their ceilings too."""
    found: set[str] = set()
    for one in filters:
        match one:
            case Chained(target=type_, inner=inner) | Reversed(source=type_, inner=inner):
                found |= {type_} | _hops((inner,))
            case Condition():
                pass
    return found


def _owned(
    column: ColumnElement[str], statement: Statement
) -> ColumnElement[bool]:  # fmt: skip
    many = statement.owners == "many"
    patient = bindparam("patient", type_=GUID, expanding=many)
    return column.in_(patient) if many else column == patient


def _epoch(statement: Statement) -> ColumnElement[int]:
    """Moves with every change of consent of a participant the query names."""
    if statement.owners == "any":
        return literal_column("0", Integer)
    epoch = consent_epoch.alias()
    found = select(func.coalesce(func.sum(epoch.c.epoch), 0))
    return found.where(_owned(epoch.c.patient, statement)).scalar_subquery()


@lru_cache(maxsize=1024)
def _epoch_alone(statement: Statement) -> Select[Any]:
    return select(_epoch(statement))


def _where(statement: Statement) -> ColumnElement[bool]:
    parts = [r.c.type == literal_column(f"'{statement.type}'")]
    if statement.owners != "any":
        parts.append(_owned(r.c.patient, statement))
    parts.append(predicate(statement.seen, r))
    parts += [
        build(one, r, f"f{number}_", anchored=statement.owners != "any")
        for number, one in enumerate(statement.filters)
    ]
    return and_(*parts)


@lru_cache(maxsize=1024)
def _page(statement: Statement) -> Select[Any]:
    """Cut to the limit first; then, for these few rows, their bodies."""
    column = r.c[statement.sort.value]
    keys = [column] if statement.sort is Sort.ID else [column, r.c.id]
    inner = select(r.c.patient, r.c.id, r.c.version, r.c.updated, column.label("key")).where(
        _where(statement)
    )
    if statement.after:
        kind = GUID if statement.sort is Sort.ID else BigInteger()
        key, id_ = bindparam("after_key", type_=kind), bindparam("after_id", type_=GUID)
        here, there = (r.c.id, id_) if len(keys) == 1 else (tuple_(*keys), tuple_(key, id_))
        inner = inner.where(here < there if statement.descending else here > there)
    ordered = [key.desc() if statement.descending else key for key in keys]
    page = inner.order_by(*ordered).limit(bindparam("most", type_=Integer)).subquery("page")
    again = [page.c.key, page.c.id]
    columns = (page.c.patient, page.c.id, page.c.version, page.c.updated, page.c.key, v.c.body)
    return (
        select(*columns, _epoch(statement).label("epoch"))
        .select_from(page.join(v, _body_of(page, statement.type)))
        .order_by(*(key.desc() if statement.descending else key for key in again))
    )


def _body_of(page: FromClause, type_: str) -> ColumnElement[bool]:
    return and_(
        v.c.patient == page.c.patient, v.c.type == literal_column(f"'{type_}'"),
        v.c.id == page.c.id, v.c.version == page.c.version,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _count(statement: Statement) -> Select[Any]:
    few = select(literal_column("1", Integer)).where(_where(statement)).limit(MOST_COUNTED + 1)
    return select(func.count()).select_from(few.subquery())


@lru_cache(maxsize=1024)
def _owners(type_: str, seen: Shape) -> Select[tuple[str]]:
    return (
        select(r.c.patient).distinct()
        .where(r.c.type == literal_column(f"'{type_}'"), predicate(seen, r))
        .limit(bindparam("most", type_=Integer))
    )  # fmt: skip
