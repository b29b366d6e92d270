"""Names, addresses, telecom, birth dates and gender, in process memory alone (design D2).

Their frequencies give people away, so they are never hashed into the database. The directory opens
every body once and then follows the change sequence; a search first brings it up to what is
committed in its own snapshot. Ids found here still pass `visible()`: the directory knows everybody
and decides nothing. A deleted record leaves at once.
"""

import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo

import msgspec
from sqlalchemy import BigInteger, Connection, and_, bindparam, select

from service.keys.keyring import Keyring
from service.records import changes
from service.records.conditions import Condition, Test
from service.records.extract import nodes, segments
from service.records.parameters import PARAMETERS, Kind, Parameter, Source
from service.records.tables import resource, resource_version
from service.records.values import Interval, Span, Token, dates, fold, meets

KNOWN = {
    type_: tuple(p for p in parameters.values() if p.source is Source.DIRECTORY)
    for type_, parameters in PARAMETERS.items()
    if any(p.source is Source.DIRECTORY for p in parameters.values())
}
BATCH = 500
FEW = 100
LAST = "\U0010ffff"
NAME = ("text", "family", "given", "prefix", "suffix")
ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")

_r, _v = resource.alias("r"), resource_version.alias("v")
CHANGED = (
    select(_r.c.seq, _r.c.patient, _r.c.type, _r.c.id, _r.c.version, _r.c.deleted, _v.c.body)
    .join(_v, and_(_v.c.patient == _r.c.patient, _v.c.type == _r.c.type, _v.c.id == _r.c.id,
                   _v.c.version == _r.c.version))
    .where(_r.c.seq > bindparam("after", type_=BigInteger))
    .where(_r.c.type.in_(sorted(KNOWN)))
    .order_by(_r.c.seq)
    .limit(BATCH)
)  # fmt: skip

Key = tuple[str, str]
Value = Interval | Token | str
Fact = tuple[str, Value]


@dataclass(slots=True)
class _Column:
    """The values of one parameter of one type, ready to be searched."""

    texts: list[tuple[str, str, str]] = field(default_factory=list)  # folded, id, as written
    arrived: list[tuple[str, str, str]] = field(default_factory=list)  # not yet sorted in
    codes: dict[tuple[str | None, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    dates: dict[str, Interval] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)

    def add(self, id_: str, value: Value) -> None:
        self.present.add(id_)
        match value:
            case Interval():
                self.dates[id_] = value
            case Token(system, code):
                self.codes[None, code or ""].add(id_)
                self.codes[system, code or ""].add(id_)
            case str():
                self.arrived.append((fold(value), id_, value))

    def remove(self, id_: str, value: Value) -> None:
        self.present.discard(id_)
        match value:
            case Interval():
                self.dates.pop(id_, None)
            case Token(system, code):
                self.codes[None, code or ""].discard(id_)
                self.codes[system, code or ""].discard(id_)
            case str():
                self._settle()
                place = bisect_left(self.texts, (fold(value), id_, value))
                if self.texts[place : place + 1] == [(fold(value), id_, value)]:
                    del self.texts[place]

    def find(self, value: object, test: Test) -> Iterable[str]:
        match value:
            case Span():
                return (id_ for id_, found in self.dates.items() if meets(found, value))
            case Token(system, code):
                return self.codes.get((system, code or ""), ())
            case str():
                return self._texts(value, test)
            case _:
                return ()

    def _settle(self) -> None:
        if len(self.arrived) > FEW:
            self.texts = sorted(self.texts + self.arrived)
        else:
            for one in self.arrived:
                insort(self.texts, one)
        self.arrived = []

    def _texts(self, value: str, test: Test) -> Iterable[str]:
        """Nothing but accents or spaces folds to nothing, and finds nothing."""
        folded = fold(value)
        if not folded:
            return ()
        self._settle()
        if test is Test.CONTAINS:
            return (id_ for text, id_, _ in self.texts if folded in text)
        first = bisect_left(self.texts, (folded,))
        if test is Test.EXACT:
            last = bisect_left(self.texts, (folded, LAST))
            return (id_ for _, id_, written in self.texts[first:last] if written == value)
        last = bisect_left(self.texts, (folded + LAST,))
        return (id_ for _, id_, _ in self.texts[first:last])


class Directory:
    """One per process; threads share it. `refresh` in the search's own snapshot, then `find`."""

    def __init__(self, keyring: Keyring, zone: tzinfo) -> None:
        self._keyring = keyring
        self._zone = zone
        self._lock = threading.RLock()
        self._columns: dict[Key, _Column] = defaultdict(_Column)
        self._facts: dict[Key, list[Fact]] = {}
        self._versions: dict[Key, int] = {}
        self._owners: dict[str, set[Key]] = defaultdict(set)
        self._everyone: dict[str, set[str]] = defaultdict(set)
        self._seen = 0

    def refresh(self, connection: Connection) -> None:
        """Reach what this snapshot holds. Above the horizon numbers may still arrive: read anew."""
        with self._lock:
            horizon, after = changes.horizon(connection), self._seen
            while rows := connection.execute(CHANGED, {"after": after}).all():
                for row in rows:
                    self._apply(connection, *row[1:])
                after = rows[-1].seq
                if len(rows) < BATCH:
                    break
            self._seen = max(self._seen, horizon - 1)

    def forget(self, patient: str) -> None:
        """A participant was erased: nothing of theirs stays in memory."""
        with self._lock:
            for key in list(self._owners.pop(patient, ())):
                self._drop(key)

    def find(self, condition: Condition) -> frozenset[str]:
        """Ids that meet the condition, hidden ones among them."""
        with self._lock:
            column = self._columns.get((condition.type, condition.parameter.name), _Column())
            present = frozenset(column.present)
            if condition.test is Test.PRESENT:
                return present
            everyone = self._everyone.get(condition.type, set())
            if condition.test is Test.MISSING:
                return frozenset(everyone - present)
            found = frozenset(
                id_ for value in condition.values
                for id_ in column.find(_implied(condition.parameter, value), condition.test)
            )  # fmt: skip
            return frozenset(everyone - found) if condition.test is Test.NOT else found

    def _apply(
        self, connection: Connection, patient: str, type_: str, id_: str, version: int,
        deleted: bool, sealed: bytes,  # noqa: FBT001
    ) -> None:  # fmt: skip
        key = (type_, id_)
        if version <= self._versions.get(key, 0):
            return  # a slower snapshot, or read again above the horizon
        self._drop(key)
        self._versions[key] = version
        if deleted:
            return
        body = self._keyring.open(
            connection, patient=patient, type=type_, id=id_, version=version, sealed=sealed
        )
        document = msgspec.json.decode(body)
        facts = [
            (p.name, value) for p in KNOWN[type_] for value in facts_of(p, document, self._zone)
        ]
        self._facts[key] = facts
        self._owners[patient].add(key)
        self._everyone[type_].add(id_)
        for name, value in facts:
            self._columns[type_, name].add(id_, value)

    def _drop(self, key: Key) -> None:
        type_, id_ = key
        self._everyone[type_].discard(id_)
        for name, value in self._facts.pop(key, ()):
            self._columns[type_, name].remove(id_, value)


def _implied(parameter: Parameter, value: object) -> object:
    if isinstance(value, Token) and parameter.system and value.system is None:
        return Token(parameter.system, value.code)
    return value


def facts_of(
    parameter: Parameter, document: Mapping[str, object], zone: tzinfo
) -> Iterator[Value]:  # fmt: skip
    """Each distinct value a resource has for this parameter."""
    seen = set()
    for path in parameter.paths:
        elements, _, system = path.partition(":")
        for node in nodes(document, segments(elements)):
            for value in _facts(parameter, node, system, zone):
                if value not in seen:
                    seen.add(value)
                    yield value


def _facts(
    parameter: Parameter, node: object, system: str, zone: tzinfo
) -> Iterator[Value]:  # fmt: skip
    match parameter.kind, node:
        case Kind.DATE, _:
            found = dates(node, zone)
            if found:
                yield found
        case Kind.TOKEN, str():
            yield Token(parameter.system, node.lower())
        case Kind.TOKEN, {"value": str(value), "system": str(kind)} if system in ("", kind):
            yield Token(kind, value.lower())
        case Kind.STRING, str():
            yield node
        case Kind.STRING, Mapping():
            for part in ADDRESS if parameter.name == "address" else NAME:
                yield from (text for text in nodes(node, (part,)) if isinstance(text, str))
        case _:
            pass
