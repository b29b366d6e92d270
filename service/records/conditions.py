"""One search condition: a parameter, how it compares, and with what values."""

from dataclasses import dataclass, replace
from datetime import tzinfo
from enum import StrEnum

from service.errors import Issue, Malformed
from service.records.parameters import Kind, Parameter, Source
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

MOST_VALUES = 100
Value = Token | Reference | Span | str


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
            case _:
                return False


@dataclass(frozen=True, slots=True)
class Reading:
    """How values are read: the site's zone, now (for `ap`), our own base URL."""

    zone: tzinfo
    at: Micros
    base: str = ""


_WHOLE_SYSTEM = {Test.IS: Test.PRESENT, Test.NOT: Test.MISSING}


class Unknown(Malformed):
    """A parameter or modifier that this type does not have."""


def refused(code: str, text: str) -> Malformed:
    return Malformed(text, Issue(code, text))


def unknown(text: str) -> Unknown:
    return Unknown(text, Issue("not-supported", text))


def condition(
    type_: str, parameter: Parameter, modifier: str, text: str, reading: Reading
) -> Condition:
    if modifier == Test.MISSING:
        if text not in ("true", "false"):
            raise refused("value", ":missing is true or false.")
        return Condition(type_, parameter, Test.MISSING if text == "true" else Test.PRESENT, ())
    test, of = _modifier(parameter, modifier)
    parts = split(text, ",")
    if len(parts) > MOST_VALUES or not all(parts):
        raise refused("value", "A search value is empty, or has too many alternatives.")
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
    raise unknown("That modifier is not supported for this parameter.")


def _value(
    parameter: Parameter, test: Test, of: str | None, text: str, reading: Reading
) -> Value:  # fmt: skip
    match parameter.kind:
        case Kind.DATE:
            return span(unescape(text), reading.zone, reading.at)
        case Kind.REFERENCE if test is not Test.IDENTIFIER:
            return _target(parameter, of, unescape(text), reading.base)
        case Kind.URI:
            return canonical(unescape(text))[-1]
        case Kind.TOKEN | Kind.REFERENCE if parameter.name != "_id":
            return _coded(parameter, test, text)
        case _:
            return unescape(text)


def _coded(parameter: Parameter, test: Test, text: str) -> Token:
    """Codes fold their case, identifiers do not."""
    found = token(text)
    if found.code is None and not parameter.systems:
        raise refused("not-supported", "This parameter is searched by code, not by system alone.")
    if parameter.source is Source.IDENTIFIER or test is Test.IDENTIFIER or found.code is None:
        return found
    return replace(found, code=found.code.lower())


def _target(parameter: Parameter, of: str | None, text: str, base: str) -> Reference:
    """A bare id takes the one type there is; UUIDs make the others unambiguous too."""
    found = reference(text, base)
    if found is None:
        raise refused("value", "A reference in the search is not one.")
    if found.type is not None:
        return found if of in (None, found.type) else found._replace(foreign=True, id="")
    if not logical_id(found.id):
        return found  # a foreign URL
    type_ = of or (parameter.targets[0] if len(parameter.targets) == 1 else None)
    if found.foreign and type_:
        return Reference(type_, f"{type_}/{found.id}", foreign=True)
    return found._replace(type=type_)
