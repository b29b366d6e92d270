"""Index rows of one resource: hand-written extraction by the table in parameters.py.

Per coding: a row for the code in any system, one for system|code, one for the system alone (or,
without a system, one that says so). A `code` element has one row, because its system is implied.
Rows are keyed hashes and intervals; nothing here leaves in clear but references between ids.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import lru_cache
from typing import Final
from uuid import UUID

from service.keys.blind import Blind
from service.records.parameters import MAIN_DATE, PARAMETERS, Kind, Parameter, Source
from service.records.values import Interval, Reference, canonical, dates, reference
from service.vocabulary import OPEN_END, OPEN_START

ANY: Final = "\0"
"""Stands for any system, or any code, in a hash; no FHIR string holds a NUL."""
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class IndexRows:
    """Rows for the ix_* tables, and the main date that `resource` is stored and sorted by."""

    tokens: list[Row]
    references: list[Row]
    dates: list[Row]
    identifiers: list[Row]
    main: Interval


@dataclass(slots=True)
class _Found:
    """What one resource says, before hashing; sets, for a value counts once."""

    zone: tzinfo
    base: str
    tokens: set[tuple[str, str, str]] = field(default_factory=set)
    references: set[tuple[str, Reference]] = field(default_factory=set)
    dates: set[tuple[str, Interval]] = field(default_factory=set)
    identifiers: set[tuple[str, str]] = field(default_factory=set)


Collect = Callable[[Parameter, object, _Found], None]


@dataclass(frozen=True, slots=True)
class _Step:
    parameter: Parameter
    rest: tuple[str, ...]
    collect: Collect


def _plan(parameters: Mapping[str, Parameter]) -> dict[str, list[_Step]]:
    """Per first element, what to look for beneath it."""
    plan: dict[str, list[_Step]] = {}
    for parameter in parameters.values():
        if parameter.source is Source.DIRECTORY or parameter.rows:
            continue
        if parameter.source is Source.COLUMN and parameter.kind is not Kind.REFERENCE:
            continue
        for path in parameter.paths:
            steps = segments(path.removesuffix(":instant"))
            collect = _collector(parameter, instant=path.endswith(":instant"))
            plan.setdefault(steps[0], []).append(_Step(parameter, steps[1:], collect))
    return plan


def segments(path: str) -> tuple[str, ...]:
    """`a.b` is (a, b); `extension(<url>).c` is (extension, (<url>, c): URLs hold dots."""
    if not path.startswith("extension("):
        return tuple(path.split("."))
    url, _, rest = path.removeprefix("extension(").partition(")")
    return ("extension", f"({url}", *rest.strip(".").split("."))


def nodes(value: object, rest: tuple[str, ...]) -> list[object]:
    """Every value at this path, through lists and single elements alike."""
    found: list[object] = value if isinstance(value, list) else [value]
    for name in rest:
        if name[0] == "(":
            found = [one for one in found if isinstance(one, dict) and one.get("url") == name[1:]]
            continue
        inner: list[object] = []
        for one in found:
            below = one.get(name) if isinstance(one, dict) else None
            if isinstance(below, list):
                inner += below
            elif below is not None:
                inner.append(below)
        found = inner
    return found


def extract(
    resource: Mapping[str, object], *, patient: str, blind: Blind, zone: tzinfo, base: str = ""
) -> IndexRows:
    """The rows of `resource`, whose id and meta the server has set. `base`: our own URL."""
    type_, found = str(resource["resourceType"]), _Found(zone, base)
    plan = _PLANS[type_]
    for name, value in resource.items():
        for step in plan.get(name, ()):
            for node in nodes(value, step.rest):
                step.collect(step.parameter, node, found)
    parameters = PARAMETERS[type_]
    owner = {"patient": patient, "type": type_, "id": resource["id"]}
    return IndexRows(
        tokens=[
            {**owner, "param": name, "hash": (
                blind.token(patient, type_, name, system, code)
                if salted(parameters.get(name)) else generic(blind, type_, name, system, code))}
            for name, system, code in found.tokens
        ],
        references=[
            {**owner, "param": name, "target_type": target.type or "",
             "target_id": target_id(blind, target)}
            for name, target in found.references
        ],
        dates=[
            {**owner, "param": name, "lo": lo, "hi": hi} for name, (lo, hi) in found.dates
        ],
        identifiers=[
            {**owner, "digest": blind.identifier(type_, system, value)}
            for system, value in found.identifiers
        ],
        main=_main(type_, resource, found),
    )  # fmt: skip


def salted(parameter: Parameter | None) -> bool:
    """Whether the participant is in the hash. Logical identifiers of references (no parameter has
    that name) are as unique as identifiers, so need no salt.
    """
    return parameter is not None and not parameter.shared


@lru_cache(maxsize=8192)
def generic(blind: Blind, type_: str, name: str, system: str, code: str) -> int:
    """A hash alike for all participants: there are few, and each is wanted often."""
    return blind.token(None, type_, name, system, code)


def target_id(blind: Blind, target: Reference) -> str:
    """A reference's target as the uuid its column holds; what is not ours stands as its hash."""
    if not target.foreign:
        return target.id
    return str(UUID(bytes=blind.digest("reference", target.id.encode())[:16]))


def _main(type_: str, resource: Mapping[str, object], found: _Found) -> Interval:
    main = MAIN_DATE.get(type_)
    if main:
        for name, interval in found.dates:
            if name == main:
                return interval
    meta = resource.get("meta")
    updated = meta.get("lastUpdated") if isinstance(meta, dict) else None
    # Without any date the widest: outside every permit's data period, inside every deny's.
    return dates(updated, found.zone, instant=True) or Interval(OPEN_START, OPEN_END)


def _collector(parameter: Parameter, *, instant: bool) -> Collect:
    match parameter.kind:
        case Kind.TOKEN if parameter.source is Source.IDENTIFIER:
            return _identifiers
        case Kind.TOKEN:
            return _code if parameter.system else _token
        case Kind.REFERENCE:
            return _reference
        case Kind.DATE:
            return _instant if instant else _date
        case Kind.URI | Kind.STRING:
            return _canonical


def _identifiers(_parameter: Parameter, node: object, found: _Found) -> None:
    found.identifiers.update(_identifier(node))


def _date(parameter: Parameter, node: object, found: _Found) -> None:
    interval = dates(node, found.zone)
    if interval:
        found.dates.add((parameter.name, interval))


def _instant(parameter: Parameter, node: object, found: _Found) -> None:
    interval = dates(node, found.zone, instant=True)
    if interval:
        found.dates.add((parameter.name, interval))


def _canonical(parameter: Parameter, node: object, found: _Found) -> None:
    if isinstance(node, str):
        found.tokens.update((parameter.name, ANY, url) for url in canonical(node))


def _code(parameter: Parameter, node: object, found: _Found) -> None:
    found.tokens.add((parameter.name, parameter.system, str(node).lower()))


def _token(parameter: Parameter, node: object, found: _Found) -> None:
    """A Coding, a CodeableConcept; a boolean or string."""
    name, add = parameter.name, found.tokens.add
    if isinstance(node, dict):
        codings = node.get("coding") or (node,)
        for coding in codings:
            system, code = coding.get("system"), coding.get("code")
            if code is not None:
                code = code.lower()
                add((name, ANY, code))
                add((name, system or "", code))
            if system is not None and parameter.systems:
                add((name, system, ANY))
        return
    code = ("true" if node else "false") if isinstance(node, bool) else str(node).lower()
    add((name, ANY, code))
    add((name, "", code))


def _identifier(node: object) -> list[tuple[str, str]]:
    """Identifiers keep their case."""
    if not isinstance(node, dict):
        return []
    system, value = node.get("system"), node.get("value")
    pairs = [(ANY, value), (system or "", value)] if isinstance(value, str) else []
    return [*pairs, (system, ANY)] if isinstance(system, str) else pairs


def _reference(parameter: Parameter, node: object, found: _Found) -> None:
    if not isinstance(node, dict):
        return
    identifier = node.get("identifier")
    if identifier is not None:
        name = f"{parameter.name}:identifier"
        found.tokens.update((name, system, value) for system, value in _identifier(identifier))
    text = node.get("reference")
    if parameter.source is not Source.COLUMN and isinstance(text, str):
        target = reference(text, found.base)
        if target:
            found.references.add((parameter.name, target))


_PLANS = {type_: _plan(parameters) for type_, parameters in PARAMETERS.items()}
