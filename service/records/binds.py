"""The values a search statement runs with: keyed hashes, ids, intervals, under filters.py's names.

A code that can name a condition is hashed with the participant, so a search that names none needs
one hash for every participant it may see (`Owners`).
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from service.errors import Malformed
from service.keys.blind import Blind
from service.records.conditions import Condition, Test
from service.records.directory import Directory
from service.records.extract import ANY, target_id
from service.records.parameters import Kind, Parameter, Source
from service.records.query import Chained, Filter, Query, Reversed
from service.records.values import Reference, Span, Token
from service.vocabulary import HOUSE, HOUSE_TYPES, STORED_TYPES, is_id

NO_ONE = "ffffffff-ffff-4fff-bfff-ffffffffffff"
"""An id that no row has: where a value cannot be an id of ours, it finds nothing."""
Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose hashes to search by: the participants a query names, or else all there are to see."""

    named: frozenset[str] | None
    visible: Callable[[str], list[str]]

    def of(self, type_: str) -> Iterable[str]:
        if type_ in HOUSE_TYPES:
            return (HOUSE,)
        return sorted(self.named) if self.named is not None else self.visible(type_)


def named(query: Query) -> frozenset[str] | None:
    """The participants a query is about, where its filters fix them; None: any."""
    found: frozenset[str] | None = None
    for one in query.filters:
        if not isinstance(one, Condition) or one.test is not Test.IS:
            continue
        if one.parameter.source is not Source.COLUMN:
            continue
        if one.parameter.kind is Kind.REFERENCE or (
            query.type == "Patient" and one.parameter.name == "_id"
        ):
            ids = frozenset(_ids(one))
            found = ids if found is None else found & ids
    return found


def bind(
    found: Filter, slot: str, owners: Owners, blind: Blind, directory: Directory
) -> Values:  # fmt: skip
    """The values of one filter; `slot` as in filters.build."""
    match found:
        case Chained(inner=inner) | Reversed(inner=inner):
            return bind(inner, f"{slot}i_", owners, blind, directory)
        case Condition():
            return _condition(found, slot, owners, blind, directory)


def _condition(
    found: Condition, slot: str, owners: Owners, blind: Blind, directory: Directory
) -> Values:  # fmt: skip
    match found.parameter.source:
        case Source.DIRECTORY:
            ids = directory.find(found)
            return {f"{slot}ids": json.dumps([id_.replace("-", "") for id_ in ids])}
        case Source.IDENTIFIER:
            digests = [blind.identifier(found.type, *_pair(value)) for value in found.values]
            return {f"{slot}digest": digests}
        case Source.COLUMN if found.test is not Test.IDENTIFIER:
            return _column(found, slot)
    return _rows(found, slot, owners, blind)


def _rows(found: Condition, slot: str, owners: Owners, blind: Blind) -> Values:
    parameter = found.parameter
    if found.test in (Test.MISSING, Test.PRESENT):
        return {}
    if parameter.kind is Kind.DATE:
        return _spans(found, slot)
    if parameter.kind is Kind.REFERENCE and found.test is not Test.IDENTIFIER:
        return _targets(found, slot, blind)
    return _hashes(found, slot, owners, blind)


def _spans(found: Condition, slot: str) -> Values:
    values: Values = {}
    for number, value in enumerate(found.values):
        if isinstance(value, Span):
            values[f"{slot}a{number}"], values[f"{slot}b{number}"] = value.interval
    return values


def _column(found: Condition, slot: str) -> Values:
    if found.parameter.kind is Kind.DATE:
        return _spans(found, slot)
    if found.test in (Test.MISSING, Test.PRESENT):
        return {}
    ids = _ids(found)
    single = found.parameter.kind is Kind.TOKEN and found.test is Test.IS and not found.many
    return {f"{slot}ids": ids[0] if single else ids}


def _ids(found: Condition) -> list[str]:
    ids = []
    for value in found.values:
        match value:
            case Reference("Patient", id_, False):
                ids.append(id_)
            case str():
                ids.append(value if is_id(value) else NO_ONE)
            case _:
                ids.append(NO_ONE)
    return ids


def _targets(found: Condition, slot: str, blind: Blind) -> Values:
    pairs = [pair for value in found.values if isinstance(value, Reference)
             for pair in _pairs(found.parameter, value, blind)]  # fmt: skip
    if found.many:
        return {f"{slot}to": pairs}
    (type_, id_), *_ = pairs
    return {f"{slot}type": type_, f"{slot}id": id_}


def _pairs(parameter: Parameter, value: Reference, blind: Blind) -> list[tuple[str, str]]:
    """(target_type, target_id); a bare id may be of any type the parameter leads to."""
    if value.type is not None or value.foreign:
        return [(value.type or "", target_id(blind, value))]
    return [(type_, value.id) for type_ in parameter.targets or sorted(STORED_TYPES)]


def _hashes(found: Condition, slot: str, owners: Owners, blind: Blind) -> Values:
    parameter = found.parameter
    name = parameter.index
    shared = parameter.shared
    if found.test is Test.IDENTIFIER:
        name, shared = f"{name}:identifier", True
    salts: Iterable[str | None] = (None,) if shared else owners.of(found.type)
    pairs = [_code(parameter, found.test, value) for value in found.values]
    hashes = [
        blind.token(salt, found.type, name, system, code)
        for salt in salts for system, code in pairs
    ]  # fmt: skip
    return {f"{slot}hash": hashes if found.many else hashes[0]}


def _code(parameter: Parameter, test: Test, value: object) -> tuple[str, str]:
    if isinstance(value, str):
        return ANY, value  # a canonical
    if not isinstance(value, Token):
        raise Malformed("A search value does not fit its parameter.")
    if parameter.system and test is not Test.IDENTIFIER:  # one row per code, system implied
        system = parameter.system if value.system is None else value.system
        return system, value.code or ANY
    return _pair(value)


def _pair(value: object) -> tuple[str, str]:
    if not isinstance(value, Token):
        raise Malformed("A search value does not fit its parameter.")
    return (ANY if value.system is None else value.system, value.code or ANY)
