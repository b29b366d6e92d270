"""A search as asked, parsed into a frozen value; what is not understood is refused, never dropped.

FHIR R4 would ignore an unknown parameter. A filter that is dropped over-discloses, so here it is
an error, unless the caller prefers lenient handling and is told (FHIR reference, 1.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from enum import StrEnum

from service.errors import Issue, Malformed, NotAllowed
from service.records.parameters import MAIN_DATE, PARAMETERS, Kind, Parameter, Source
from service.records.values import (
    Reference,
    Span,
    Token,
    canonical,
    logical_id,
    reference,
    span,
    split,
    token,
    unescape,
)
from service.vocabulary import STORED_TYPES, Micros

MOST_ROWS = 1000
DEFAULT_ROWS = 50
MOST_VALUES = 100
MOST_FILTERS = 50
DEEPEST_CHAIN = 2
DOORS_OWN = frozenset({"_format", "_pretty"})

Value = Token | Reference | Span | str


class Sort(StrEnum):
    """What a page is ordered by; the id is always the last key."""

    ID = "id"
    UPDATED = "updated"
    MAIN = "lo"


class Test(StrEnum):
    """How values are compared: FHIR's modifiers, `IS` where there is none."""

    __test__ = False  # not a test of pytest's

    IS = ""
    NOT = "not"
    MISSING = "missing"
    PRESENT = "present"  # :missing=false
    IDENTIFIER = "identifier"
    EXACT = "exact"
    CONTAINS = "contains"


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter of `type`; any of `values` will do."""

    type: str
    parameter: Parameter
    test: Test
    values: tuple[Value, ...]

    @property
    def many(self) -> bool:
        """Whether it compares with a list: several values, or one that stands for several."""
        match self.parameter.kind, self.parameter.source:
            case _, _ if len(self.values) > 1 or self.test is Test.IDENTIFIER:
                return True
            case Kind.REFERENCE, Source.ROWS:
                (only,) = self.values or (None,)
                return isinstance(only, Reference) and only.type is None and not only.foreign
            case Kind.TOKEN | Kind.URI, Source.ROWS:
                return not self.parameter.shared  # salted: a hash for each participant
        return False


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
    at: Micros = Micros(0)
    after: tuple[int | str, str] | None = None
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """How values are read: the site's zone, now (for `ap`), our own base URL."""

    zone: tzinfo
    at: Micros
    base: str = ""


_WHOLE_SYSTEM = {Test.IS: Test.PRESENT, Test.NOT: Test.MISSING}


class _Unknown(Malformed):
    """A parameter or modifier that this type does not have."""


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
        except _Unknown:
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
        raise _refused("value", "A search value holds a NUL.")
    match name:
        case _ if name in DOORS_OWN:
            return query, []
        case "_count":
            if not (value.isascii() and value.isdigit()):
                raise _refused("value", "_count is a whole number.")
            count = int(value[:9])
            return replace(query, count=min(count, MOST_ROWS) or DEFAULT_ROWS,
                           count_only=query.count_only or count == 0), []  # fmt: skip
        case "_summary":
            if value not in ("count", "false"):
                raise _refused("not-supported", "_summary may be count or false.")
            return replace(query, count_only=query.count_only or value == "count"), []
        case "_total":
            if value not in ("none", "accurate", "estimate"):
                raise _refused("value", "_total is none, estimate or accurate.")
            return replace(query, total=value != "none"), []
        case "_sort":
            return _sorted(query, value), []
        case "_include" | "_revinclude":
            return replace(query, includes=(*query.includes, _include(query.type, name, value))), []
    return query, [_filter(query.type, name, value, reading, DEEPEST_CHAIN)]


def _refused(code: str, text: str) -> Malformed:
    return Malformed(text, Issue(code, text))


def _sorted(query: Query, value: str) -> Query:
    name = value.removeprefix("-")
    keys = {"_id": Sort.ID, "_lastUpdated": Sort.UPDATED, MAIN_DATE.get(query.type): Sort.MAIN}
    if name not in keys:
        raise _refused("not-supported", "_sort takes _id, _lastUpdated or the type's main date.")
    return replace(query, sort=keys[name], descending=value.startswith("-"))


def _include(type_: str, name: str, value: str) -> Include:
    reverse = name == "_revinclude"
    source, _, rest = value.partition(":")
    param, _, target = rest.partition(":")
    parameter = PARAMETERS.get(source, {}).get(param)
    if parameter is None or parameter.kind is not Kind.REFERENCE:
        raise _refused("not-supported", f"{name} takes Type:parameter of a reference we search by.")
    there = target or (type_ if reverse else "")
    fits = not parameter.targets or not there or there in parameter.targets
    if not fits or (target and reverse and target != type_) or (not reverse and source != type_):
        raise _refused("not-supported", f"{name} does not lead from or to this resource type.")
    return Include(source, parameter, target or None, reverse=reverse)


def _filter(type_: str, name: str, value: str, reading: Reading, depth: int) -> Filter:
    if name.startswith("_has:"):
        return _has(type_, name, value, reading, depth)
    head, dot, inner = name.partition(".")
    bare, _, modifier = head.partition(":")
    parameter = PARAMETERS[type_].get(bare)
    if parameter is None:
        raise _unknown("This resource type has no search parameter of that name.")
    if not dot:
        return _condition(type_, parameter, modifier, value, reading)
    if parameter.kind is not Kind.REFERENCE or depth == 0:
        raise _unknown("Only references chain, two deep at most.")
    targets = [modifier] if modifier else [t for t in parameter.targets if t in STORED_TYPES]
    if parameter.targets:
        targets = [t for t in targets if t in parameter.targets]
    fitting = [t for t in targets if inner.split(".")[0].split(":")[0] in PARAMETERS.get(t, {})
               or (inner.startswith("_has:") and t in PARAMETERS)]  # fmt: skip
    if len(fitting) != 1:
        raise _unknown("A chain names the type it leads to, as in subject:Patient.name.")
    return Chained(type_, parameter, fitting[0],
                   _filter(fitting[0], inner, value, reading, depth - 1))  # fmt: skip


def _has(type_: str, name: str, value: str, reading: Reading, depth: int) -> Filter:
    parts = name.split(":", 3)
    if len(parts) != 4 or depth == 0:  # noqa: PLR2004 (_has, type, reference, parameter)
        raise _unknown("_has takes _has:Type:reference:parameter, two deep at most.")
    _, source, by, inner = parts
    parameter = PARAMETERS.get(source, {}).get(by)
    if parameter is None or parameter.kind is not Kind.REFERENCE:
        raise _unknown("_has names a reference that we search by.")
    if parameter.targets and type_ not in parameter.targets:
        raise _unknown("That reference does not lead to this resource type.")
    return Reversed(type_, parameter, source, _filter(source, inner, value, reading, depth - 1))


def _unknown(text: str) -> _Unknown:
    return _Unknown(text, Issue("not-supported", text))


def _condition(
    type_: str, parameter: Parameter, modifier: str, text: str, reading: Reading
) -> Condition:
    if modifier == Test.MISSING:
        if text not in ("true", "false"):
            raise _refused("value", ":missing is true or false.")
        return Condition(type_, parameter, Test.MISSING if text == "true" else Test.PRESENT, ())
    test, of = _modifier(parameter, modifier)
    parts = split(text, ",")
    if len(parts) > MOST_VALUES or not all(parts):
        raise _refused("value", "A search value is empty, or has too many alternatives.")
    values = tuple(_value(parameter, test, of, part, reading) for part in parts)
    if parameter.system and Token(parameter.system, None) in values:  # its codes have no other
        return Condition(type_, parameter, _WHOLE_SYSTEM[test], ())
    return Condition(type_, parameter, test, values)


def _modifier(parameter: Parameter, modifier: str) -> tuple[Test, str | None]:
    """The test it asks for and, for a reference, the type it narrows to."""
    match parameter.kind, modifier:
        case _, "":
            return Test.IS, None
        case Kind.TOKEN, "not":
            return Test.NOT, None
        case Kind.STRING, "exact" | "contains":
            return Test(modifier), None
        case Kind.REFERENCE, "identifier":
            return Test.IDENTIFIER, None
        case Kind.REFERENCE, _ if modifier in (parameter.targets or STORED_TYPES):
            return Test.IS, modifier
    raise _unknown("That modifier is not supported for this parameter.")


def _value(
    parameter: Parameter, test: Test, of: str | None, text: str, reading: Reading
) -> Value:  # fmt: skip
    match parameter.kind:
        case Kind.DATE:
            return span(unescape(text), reading.zone, reading.at)
        case Kind.STRING:
            return unescape(text)
        case Kind.URI:
            return "|".join(canonical(unescape(text))[-1:])
        case Kind.REFERENCE if test is not Test.IDENTIFIER:
            return _target(parameter, of, unescape(text), reading.base)
    if parameter.name == "_id":
        return unescape(text)
    found = token(text)
    if found.code is None and not parameter.systems:
        raise _refused("not-supported", "This parameter is searched by code, not by system alone.")
    if parameter.source is Source.IDENTIFIER or test is Test.IDENTIFIER or found.code is None:
        return found
    return replace(found, code=found.code.lower())


def _target(parameter: Parameter, of: str | None, text: str, base: str) -> Reference:
    """A bare id takes the one type there is; UUIDs make the others unambiguous too."""
    found = reference(text, base)
    if found is None:
        raise _refused("value", "A reference in the search is not one.")
    if found.type is not None:
        return found if of in (None, found.type) else found._replace(foreign=True, id="")
    if not logical_id(found.id):
        return found  # a foreign URL
    type_ = of or (parameter.targets[0] if len(parameter.targets) == 1 else None)
    if found.foreign and type_:
        return Reference(type_, f"{type_}/{found.id}", foreign=True)
    return found._replace(type=type_)
