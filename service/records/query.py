"""A search as asked, parsed into a frozen value; what is not understood is refused, never dropped.

FHIR R4 would ignore an unknown parameter. A filter that is dropped over-discloses, so here it is
an error, unless the caller prefers lenient handling and is told (FHIR reference, 1.4).
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum

from service.errors import Malformed, NotAllowed
from service.records.conditions import Condition, Reading, Unknown, condition, refused, unknown
from service.records.parameters import MAIN_DATE, PARAMETERS, Kind, Parameter
from service.vocabulary import STORED_TYPES, Micros

MOST_ROWS = 1000
DEFAULT_ROWS = 50
MOST_FILTERS = 50
DEEPEST_CHAIN = 2
START = Micros(0)
DOORS_OWN = frozenset({"_format", "_pretty"})


class Sort(StrEnum):
    """What a page is ordered by; the id is always the last key."""

    ID = "id"
    UPDATED = "updated"
    MAIN = "lo"


@dataclass(frozen=True, slots=True)
class Chained:
    """A reference whose target, of type `target`, meets `inner`."""

    type: str
    parameter: Parameter
    target: str
    inner: "Filter"


@dataclass(frozen=True, slots=True)
class Reversed:
    """`_has`: some resource of type `source` refers here by `parameter` and meets `inner`."""

    type: str
    parameter: Parameter
    source: str
    inner: "Filter"


Filter = Condition | Chained | Reversed


def joins(query: "Query", types: AbstractSet[str]) -> bool:
    """Whether a chain or `_has` of the query leads through one of these types."""
    return any(_joins(each, types) for each in query.filters)


def _joins(found: Filter, types: AbstractSet[str]) -> bool:
    match found:
        case Chained(target=hop, inner=inner) | Reversed(source=hop, inner=inner):
            return hop in types or _joins(inner, types)
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Include:
    """`_include` or, when `reverse`, `_revinclude`: one hop along a reference parameter."""

    source: str
    parameter: Parameter
    target: str | None
    reverse: bool


@dataclass(frozen=True, slots=True)
class Query:
    """`asked` is what was understood, for `self` links and page tokens; `ignored` what was not."""

    type: str
    filters: tuple[Filter, ...] = ()
    count: int = DEFAULT_ROWS
    count_only: bool = False
    sort: Sort = Sort.MAIN
    descending: bool = True
    total: bool = False
    includes: tuple[Include, ...] = ()
    asked: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()
    at: Micros = START
    after: tuple[int | str, str] | None = None
    epoch: int = 0


def parse(
    type_: str,
    pairs: Sequence[tuple[str, str]],
    reading: Reading,
    *,
    lenient: bool = False,
) -> Query:
    """The query of a GET or a POST alike: name and value, decoded, in the order given."""
    if type_ not in STORED_TYPES or not PARAMETERS[type_]:
        raise NotAllowed("This resource type cannot be searched.")
    query, filters = Query(type=type_, at=reading.at), list[Filter]()
    asked, ignored = list[tuple[str, str]](), list[str]()
    for name, value in pairs:
        try:
            query, found = _one(query, name, value, reading)
        except Unknown:
            if not lenient:
                raise
            ignored.append(name)
            continue
        asked.append((name, value))
        filters += found
    if len(filters) > MOST_FILTERS:
        raise Malformed("Too many parameters in one search.")
    return replace(query, filters=tuple(filters), asked=tuple(asked), ignored=tuple(ignored))


def _one(query: Query, name: str, value: str, reading: Reading) -> tuple[Query, list[Filter]]:
    if "\0" in value:
        raise refused("value", "A search value holds a NUL.")
    if name in DOORS_OWN:
        return query, []
    if name in RESULTS:
        return RESULTS[name](query, name, value), []
    return query, [_filter(query.type, name, value, reading, DEEPEST_CHAIN)]


def _counted(query: Query, _name: str, value: str) -> Query:
    if not (value.isascii() and value.isdigit()):
        raise refused("value", "_count is a whole number.")
    count = min(int(value[:9]), MOST_ROWS)
    if count == 0:
        return replace(query, count_only=True)
    return replace(query, count=count)


def _summarised(query: Query, _name: str, value: str) -> Query:
    if value not in ("count", "false"):
        raise refused("not-supported", "_summary may be count or false.")
    return replace(query, count_only=query.count_only or value == "count")


def _totalled(query: Query, _name: str, value: str) -> Query:
    if value not in ("none", "accurate", "estimate"):
        raise refused("value", "_total is none, estimate or accurate.")
    return replace(query, total=value != "none")


def _sorted(query: Query, _name: str, value: str) -> Query:
    name = value.removeprefix("-")
    keys = {"_id": Sort.ID, "_lastUpdated": Sort.UPDATED, MAIN_DATE.get(query.type): Sort.MAIN}
    if name not in keys:
        raise refused("not-supported", "_sort takes _id, _lastUpdated or the type's main date.")
    return replace(query, sort=keys[name], descending=value.startswith("-"))


def _including(query: Query, name: str, value: str) -> Query:
    return replace(query, includes=(*query.includes, _include(query.type, name, value)))


def _include(type_: str, name: str, value: str) -> Include:
    reverse = name == "_revinclude"
    source, _, rest = value.partition(":")
    param, _, target = rest.partition(":")
    parameter = PARAMETERS.get(source, {}).get(param)
    if parameter is None or parameter.kind is not Kind.REFERENCE:
        raise refused("not-supported", f"{name} takes Type:parameter of a reference we search by.")
    there = target or (type_ if reverse else "")
    fits = not parameter.targets or not there or there in parameter.targets
    if not fits or (target and reverse and target != type_) or (not reverse and source != type_):
        raise refused("not-supported", f"{name} does not lead from or to this resource type.")
    return Include(source, parameter, target or None, reverse=reverse)


def _filter(type_: str, name: str, value: str, reading: Reading, depth: int) -> Filter:
    if name.startswith("_has:"):
        return _has(type_, name, value, reading, depth)
    head, dot, inner = name.partition(".")
    bare, _, modifier = head.partition(":")
    parameter = PARAMETERS[type_].get(bare)
    if parameter is None:
        raise unknown("This resource type has no search parameter of that name.")
    if not dot:
        return condition(type_, parameter, modifier, value, reading)
    if parameter.kind is not Kind.REFERENCE or depth == 0:
        raise unknown("Only references chain, two deep at most.")
    targets = [modifier] if modifier else [t for t in parameter.targets if t in STORED_TYPES]
    if parameter.targets:
        targets = [t for t in targets if t in parameter.targets]
    fitting = [t for t in targets if inner.split(".")[0].split(":")[0] in PARAMETERS.get(t, {})
               or (inner.startswith("_has:") and t in PARAMETERS)]  # fmt: skip
    if len(fitting) != 1:
        raise unknown("A chain names the type it leads to, as in subject:Patient.name.")
    return Chained(type_, parameter, fitting[0],
                   _filter(fitting[0], inner, value, reading, depth - 1))  # fmt: skip


def _has(type_: str, name: str, value: str, reading: Reading, depth: int) -> Filter:
    parts = name.split(":", 3)
    if len(parts) != 4 or depth == 0:  # noqa: PLR2004 (_has, type, reference, parameter)
        raise unknown("_has takes _has:Type:reference:parameter, two deep at most.")
    _, source, by, inner = parts
    parameter = PARAMETERS.get(source, {}).get(by)
    if parameter is None or parameter.kind is not Kind.REFERENCE:
        raise unknown("_has names a reference that we search by.")
    if parameter.targets and type_ not in parameter.targets:
        raise unknown("That reference does not lead to this resource type.")
    return Reversed(type_, parameter, source, _filter(source, inner, value, reading, depth - 1))


RESULTS = {
    "_count": _counted, "_summary": _summarised, "_total": _totalled, "_sort": _sorted,
    "_include": _including, "_revinclude": _including,
}  # fmt: skip
"""What shapes the answer and selects nothing."""
