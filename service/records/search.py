"""Searches the store: one statement per page, only through `visible`, by keyset (FHIR ref., 1.5).

A statement is made once per *shape* (kind of view, outlines of filters, order) and kept; values
are bound when it runs. The page is cut in the inner statement, before a body is touched. Nothing
is filtered after the database, so totals and next links are right by construction.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
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
from service.records.directory import Directory
from service.records.filters import Outline, build, outline
from service.records.includes import TooMany, included, opened
from service.records.pages import Holder
from service.records.parameters import Kind, Source
from service.records.query import Chained, Condition, Filter, Query, Reversed, Sort, Test
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
        epoch = self._epoch(owners)
        pages.demand_epoch(query, epoch)
        if owners is not None and not owners:
            return Page((), total=0 if query.total or query.count_only else None)
        filters = _beyond_owners(query)
        if any(_in_directory(one) for one in filters):
            self.directory.refresh(self.connection)
        statement = self._statement(query, filters, owners)
        values = self._values(query, filters, owners)
        total = self._total(statement, values) if query.total or query.count_only else None
        if query.count_only:
            return Page((), total=total)
        return self._cut(query, statement, values, epoch, total)

    def _cut(
        self, query: Query, statement: Statement, values: Values, epoch: int, total: int | None
    ) -> Page:
        """As many matches as asked for, fewer if what they include would not fit beside them."""
        limit = query.count
        rows = self.connection.execute(_page(statement), values | {"most": limit + 1}).all()
        while True:
            matches, more = rows[:limit], len(rows) > limit
            try:
                beside = included(self.connection, self.keyring, self.view, query.includes,
                                  query.type, [(row.patient, row.id) for row in matches])  # fmt: skip
                break
            except TooMany:
                if limit == 1:
                    raise
                limit = max(1, min(limit, len(rows)) // 2)
        stored = tuple(opened(self.connection, self.keyring, query.type, row) for row in matches)
        following = None
        if more and matches:
            last = matches[-1]
            following = pages.seal(
                self.keyring, query, (last.key, last.id), self.holder, epoch, self.at
            )
        return Page(stored, beside, total, following)

    def _total(self, statement: Statement, values: Values) -> int | None:
        """Exact up to 10,000; beyond that unsaid, never estimated."""
        found: int = self.connection.execute(
            _count(replace(statement, after=False)), values
        ).scalar_one()
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

    def _epoch(self, owners: frozenset[str] | None) -> int:
        """Moves with every change of consent of a participant the query names."""
        if not owners:
            return 0
        total = self.connection.execute(EPOCH, {"patients": sorted(owners)}).scalar_one()
        return int(total)  # PostgreSQL sums to numeric

    def _visible_owners(self, type_: str) -> list[str]:
        """Participants with something of this type to see: the salts of a search that names none."""
        values = parameters(self.view, type_) | {"most": MOST_OWNERS + 1}
        found = self.connection.execute(_owners(type_, shape(self.view, type_)), values)
        owners = [str(one) for one in found.scalars()]
        if len(owners) > MOST_OWNERS:
            raise Malformed("Name the participant to search by this parameter.")
        return owners


EPOCH = select(func.coalesce(func.sum(consent_epoch.c.epoch), 0)).where(
    consent_epoch.c.patient.in_(bindparam("patients", type_=GUID, expanding=True))
)


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
    return found.parameter.source is Source.DIRECTORY


def _hops(filters: Iterable[Filter]) -> set[str]:
    """The types that chains lead through; `visible` needs their ceilings too."""
    found: set[str] = set()
    for one in filters:
        match one:
            case Chained(target=type_, inner=inner) | Reversed(source=type_, inner=inner):
                found |= {type_} | _hops((inner,))
    return found


def _where(statement: Statement) -> ColumnElement[bool]:
    parts = [r.c.type == literal_column(f"'{statement.type}'")]
    match statement.owners:
        case "one":
            parts.append(r.c.patient == bindparam("patient", type_=GUID))
        case "many":
            parts.append(r.c.patient.in_(bindparam("patient", type_=GUID, expanding=True)))
    parts.append(predicate(statement.seen, r))
    parts += [
        build(one, r, f"f{number}_", anchored=statement.owners != "any")
        for number, one in enumerate(statement.filters)
    ]
    return and_(*parts)


@lru_cache(maxsize=1024)
def _page(statement: Statement) -> Select[tuple[str, str, int, int, int | str, bytes]]:
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
    return (
        select(page.c.patient, page.c.id, page.c.version, page.c.updated, page.c.key, v.c.body)
        .select_from(page.join(v, _body_of(page, statement.type)))
        .order_by(*(key.desc() if statement.descending else key for key in again))
    )


def _body_of(page: FromClause, type_: str) -> ColumnElement[bool]:
    return and_(
        v.c.patient == page.c.patient, v.c.type == literal_column(f"'{type_}'"),
        v.c.id == page.c.id, v.c.version == page.c.version,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _count(statement: Statement) -> Select[tuple[int]]:
    few = select(literal_column("1")).where(_where(statement)).limit(MOST_COUNTED + 1)
    return select(func.count()).select_from(few.subquery())


@lru_cache(maxsize=1024)
def _owners(type_: str, seen: Shape) -> Select[tuple[str]]:
    return (
        select(r.c.patient).distinct()
        .where(r.c.type == literal_column(f"'{type_}'"), predicate(seen, r))
        .limit(bindparam("most", type_=Integer))
    )  # fmt: skip
