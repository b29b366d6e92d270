"""Index rows of one resource: hand-written extraction by the table in parameters.py.

Per coding: a row for the code in any system, one for system|code, one for the system alone (or,
without a system, one that says so). A `code` element has one row, because its system is implied.
Rows are keyed hashes and intervals; nothing here leaves in clear but references between ids.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final
from uuid import UUID

from service.keys.blind import Blind
from service.records.parameters import MAIN_DATE, PARAMETERS, Kind, Parameter, Source
from service.records.values import Interval, canonical, dates, is_id, reference
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

    tokens: set[tuple[str, str, str]] = field(default_factory=set)
    references: set[tuple[str, str, str]] = field(default_factory=set)
    dates: set[tuple[str, Interval]] = field(default_factory=set)
    identifiers: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Step:
    parameter: Parameter
    rest: tuple[str, ...]
    instant: bool


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
            step = _Step(parameter, steps[1:], instant=path.endswith(":instant"))
            plan.setdefault(steps[0], []).append(step)
    return plan


def segments(path: str) -> tuple[str, ...]:
    """`a.b` is (a, b); `extension(<url>).c` is (extension, (<url>, c): URLs hold dots."""
    if not path.startswith("extension("):
        return tuple(path.split("."))
    url, _, rest = path.removeprefix("extension(").partition(")")
    return ("extension", f"({url}", *rest.strip(".").split("."))


def nodes(value: object, rest: tuple[str, ...]) -> Iterator[object]:
    """Every value at this path, through lists and single elements alike."""
    if isinstance(value, list):
        for one in value:
            yield from nodes(one, rest)
    elif not rest:
        yield value
    elif isinstance(value, Mapping):
        if rest[0][0] == "(":
            if value.get("url") == rest[0][1:]:
                yield from nodes(value, rest[1:])
            return
        inner = value.get(rest[0])
        if inner is not None:
            yield from nodes(inner, rest[1:])


_PLANS = {type_: _plan(parameters) for type_, parameters in PARAMETERS.items()}


def extract(
    resource: Mapping[str, object], *, patient: str, blind: Blind, zone: tzinfo, base: str = ""
) -> IndexRows:
    """The rows of `resource`, whose id and meta the server has set. `base`: our own URL."""
    type_, id_ = str(resource["resourceType"]), str(resource["id"])
    plan, found = _PLANS[type_], _Found()
    for name, value in resource.items():
        for step in plan.get(name, ()):
            for node in (
                nodes(value, step.rest) if step.rest or value.__class__ is list else (value,)
            ):
                _collect(step, node, found, zone, base)
    parameters = PARAMETERS[type_]
    owner = {"patient": patient, "type": type_, "id": id_}
    return IndexRows(
        tokens=[
            {**owner, "param": name, "hash": blind.token(
                salt(parameters.get(name), patient), type_, name, system, code)}
            for name, system, code in found.tokens
        ],
        references=[
            {**owner, "param": name, "target_type": target, "target_id": target_id(blind, id_)}
            for name, target, id_ in found.references
        ],
        dates=[
            {**owner, "param": name, "lo": lo, "hi": hi} for name, (lo, hi) in found.dates
        ],
        identifiers=[
            {**owner, "digest": blind.identifier(type_, system, value)}
            for system, value in found.identifiers
        ],
        main=_main(type_, resource, found, zone),
    )  # fmt: skip


def salt(parameter: Parameter | None, patient: str) -> str | None:
    """The participant whose hashes these are; None: hashed alike for all.

    Logical identifiers of references (no parameter of that name) are as unique as identifiers.
    """
    return None if parameter is None or parameter.shared else patient


def target_id(blind: Blind, id_: str) -> str:
    """A reference's target as the uuid its column holds; what is not ours stands as its hash."""
    if is_id(id_):
        return id_
    return str(UUID(bytes=blind.digest("reference", id_.encode())[:16]))


def _main(
    type_: str, resource: Mapping[str, object], found: _Found, zone: tzinfo
) -> Interval:  # fmt: skip
    main = MAIN_DATE.get(type_)
    if main:
        for name, interval in found.dates:
            if name == main:
                return interval
    meta = resource.get("meta")
    updated = meta.get("lastUpdated") if isinstance(meta, Mapping) else None
    # Without any date the widest: outside every permit's data period, inside every deny's.
    return dates(updated, zone, instant=True) or Interval(OPEN_START, OPEN_END)


def _collect(step: _Step, node: object, found: _Found, zone: tzinfo, base: str) -> None:
    parameter = step.parameter
    match parameter.kind:
        case Kind.TOKEN if parameter.source is Source.IDENTIFIER:
            found.identifiers.update(pair for pair in _identifier(node))
        case Kind.TOKEN:
            _token(parameter, node, found)
        case Kind.REFERENCE:
            _reference(parameter, node, found, base)
        case Kind.DATE:
            interval = dates(node, zone, instant=step.instant)
            if interval:
                found.dates.add((parameter.name, interval))
        case _:
            if isinstance(node, str):
                found.tokens.update((parameter.name, ANY, url) for url in canonical(node))


def _token(parameter: Parameter, node: object, found: _Found) -> None:
    """A code, boolean or string; a Coding; a CodeableConcept."""
    name, add = parameter.name, found.tokens.add
    if isinstance(node, Mapping):
        codings = node.get("coding")
        for coding in codings if isinstance(codings, list) else (node,):
            system, code = coding.get("system"), coding.get("code")
            if code is not None:
                code = code.lower()
                add((name, ANY, code))
                add((name, system or "", code))
            if system is not None and parameter.systems:
                add((name, system, ANY))
    elif parameter.system:
        add((name, parameter.system, str(node).lower()))
    else:
        code = ("true" if node else "false") if isinstance(node, bool) else str(node).lower()
        add((name, ANY, code))
        add((name, "", code))


def _identifier(node: object) -> Iterator[tuple[str, str]]:
    """Identifiers keep their case."""
    if not isinstance(node, Mapping):
        return
    system, value = node.get("system"), node.get("value")
    if isinstance(value, str):
        yield (ANY, value)
        yield (system or "", value)
    if isinstance(system, str):
        yield (system, ANY)


def _reference(parameter: Parameter, node: object, found: _Found, base: str) -> None:
    if not isinstance(node, Mapping):
        return
    identifier = node.get("identifier")
    if identifier is not None:
        name = f"{parameter.name}:identifier"
        found.tokens.update((name, system, value) for system, value in _identifier(identifier))
    text = node.get("reference")
    if parameter.source is not Source.COLUMN and isinstance(text, str):
        target = reference(text, base)
        if target:
            found.references.add((parameter.name, target.type or "", target.id))
