"""`_include` and `_revinclude`: what a page's matches refer to, and what refers to them, one hop.

Everything included passes `visible` by itself, and is complete: a page whose includes would not
fit is made shorter, never cut (FHIR reference, 1.5).
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    String,
    and_,
    bindparam,
    literal_column,
    select,
)

from service.database.metadata import GUID
from service.errors import Issue, Malformed
from service.keys.keyring import Keyring
from service.records.parameters import Source
from service.records.query import Include, Query
from service.records.stored import Stored
from service.records.tables import ix_reference, resource, resource_version
from service.records.view import View
from service.records.visible import Shape, parameters, predicate, shape
from service.vocabulary import HOUSE_TYPES, STORED_TYPES

MOST_INCLUDED = 1000
Match = tuple[str, str]
"""(patient, id) of a match on the page."""

r = resource.alias("r")
v = resource_version.alias("v")
x = ix_reference.alias("x")


class TooMany(Malformed):
    """One match alone includes more than fits on a page."""

    def __init__(self) -> None:
        text = "A single match includes too many resources: search for these by themselves."
        super().__init__(text, Issue("too-costly", text))


def opened(connection: Connection, keyring: Keyring, type_: str, row: Row[Any]) -> Stored:
    """A row of a search, its body unsealed."""
    body = keyring.open(
        connection, patient=row.patient, type=type_, id=row.id, version=row.version,
        sealed=row.body,
    )  # fmt: skip
    return Stored(type_, row.id, row.version, row.updated, row.patient, body)


def included(
    connection: Connection, keyring: Keyring, view: View, query: Query, matches: Sequence[Match],
) -> tuple[Stored, ...]:  # fmt: skip
    """Each resource once, none that is a match itself; TooMany if they do not fit on a page."""
    if not matches:
        return ()
    beside: dict[tuple[str, str], Row[Any]] = {}
    type_ = query.type
    own = {(type_, id_) for _, id_ in matches}
    for include in query.includes:
        if include.reverse:
            found = _back(connection, view, include, type_, matches)
        else:
            found = _ahead(connection, view, include, matches)
        for kind, row in found:
            if (kind, row.id) not in own:
                beside[kind, row.id] = row
        if len(beside) > MOST_INCLUDED:
            raise TooMany
    # In an order of its own: the database's may depend on rows that this caller does not see.
    return tuple(opened(connection, keyring, key[0], beside[key]) for key in sorted(beside))


def _ahead(
    connection: Connection, view: View, include: Include, matches: Sequence[Match]
) -> Iterable[tuple[str, Row[Any]]]:
    if include.parameter.source is Source.COLUMN:
        targets = {"Patient": {patient for patient, _ in matches}}
    else:
        targets = {}
        rows = connection.execute(LINKS, {
            "source": include.source, "param": include.parameter.index,
            "patients": sorted({patient for patient, _ in matches}),
            "ids": [id_ for _, id_ in matches],
        })  # fmt: skip
        for kind, id_ in rows:
            targets.setdefault(kind, set()).add(id_)
    for kind in sorted(targets.keys() & STORED_TYPES):
        if include.target in (None, kind) and _fits(include, kind):
            yield from _seen(connection, view, kind, "id", sorted(targets[kind]))


def _fits(include: Include, kind: str) -> bool:
    return not include.parameter.targets or kind in include.parameter.targets


def _back(
    connection: Connection, view: View, include: Include, type_: str, matches: Sequence[Match]
) -> Iterable[tuple[str, Row[Any]]]:
    ids = [id_ for _, id_ in matches]
    if include.parameter.source is Source.COLUMN:
        yield from _seen(connection, view, include.source, "patient", ids)
        return
    rows = connection.execute(
        BACK if type_ in HOUSE_TYPES else BACK_WITHIN,
        {"source": include.source, "param": include.parameter.index, "target": type_, "ids": ids,
         "patients": sorted({patient for patient, _ in matches})},
    )  # fmt: skip
    yield from _seen(connection, view, include.source, "id", sorted(set(rows.scalars())))


def _seen(
    connection: Connection, view: View, kind: str, by: str, ids: list[str]
) -> Iterable[tuple[str, Row[Any]]]:
    statement = _visible(kind, shape(view, kind), by)
    for start in range(0, len(ids), MOST_INCLUDED):
        values = parameters(view, kind) | {
            "ids": ids[start : start + MOST_INCLUDED], "most": MOST_INCLUDED + 1,
        }  # fmt: skip
        for row in connection.execute(statement, values):
            yield kind, row


@lru_cache(maxsize=256)
def _visible(kind: str, seen: Shape, by: str) -> Select[tuple[str, str, int, int, bytes]]:
    inner = (
        select(r.c.patient, r.c.id, r.c.version, r.c.updated)
        .where(r.c.type == literal_column(f"'{kind}'"))
        .where(r.c[by].in_(bindparam("ids", type_=GUID, expanding=True)))
        .where(predicate(seen, r))
        .limit(bindparam("most", type_=Integer))
        .subquery("beside")
    )
    body = and_(
        v.c.patient == inner.c.patient, v.c.type == literal_column(f"'{kind}'"),
        v.c.id == inner.c.id, v.c.version == inner.c.version,
    )  # fmt: skip
    columns = (inner.c.patient, inner.c.id, inner.c.version, inner.c.updated, v.c.body)
    return select(*columns).select_from(inner.join(v, body))


def _linked(*columns: ColumnElement[Any]) -> Select[Any]:
    return select(*columns).where(
        x.c.type == bindparam("source", type_=String(32)),
        x.c.param == bindparam("param", type_=String(32)),
    )


_IDS = bindparam("ids", type_=GUID, expanding=True)
_WITHIN = x.c.patient.in_(bindparam("patients", type_=GUID, expanding=True))
LINKS = _linked(x.c.target_type, x.c.target_id).where(_WITHIN, x.c.id.in_(_IDS)).distinct()
BACK = _linked(x.c.id).where(
    x.c.target_type == bindparam("target", type_=String(32)), x.c.target_id.in_(_IDS)
)
BACK_WITHIN = BACK.where(_WITHIN)
