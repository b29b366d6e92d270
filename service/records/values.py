"""Values that a search compares: dates as half-open intervals, tokens, references, strings.

Every date spans its precision, [lo, hi) in microseconds UTC (FHIR R4 search, "Date/DateTime"); a
value without an offset is read in the site's zone. `gt` is not `sa` and `lt` is not `eb`: a value
that overlaps the searched interval's edge lies also beyond it.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

from service.errors import Malformed
from service.vocabulary import OPEN_END, OPEN_START, is_id

Json = Mapping[str, object]

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (wall clock; the offset is taken off by hand)
_TICK = timedelta(microseconds=1)
_SECOND = 1_000_000
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?"
    r"(Z|[+\- ]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_RELATIVE = re.compile(r"(?:(?P<base>\w+://.+)/)?(?P<type>[A-Z][A-Za-z]{2,31})/(?P<id>[^/]+)"
                       r"(?:/_history/[^/]+)?")  # fmt: skip
LAST_YEAR = 9999


class Interval(NamedTuple):
    """Half-open: lo is in, hi is not."""

    lo: int
    hi: int


class Prefix(StrEnum):
    """How a date found stands to the date searched."""

    EQ = "eq"
    NE = "ne"
    GT = "gt"
    LT = "lt"
    GE = "ge"
    LE = "le"
    SA = "sa"
    EB = "eb"
    AP = "ap"


@dataclass(frozen=True, slots=True)
class Token:
    """`system` None is any, '' is none; `code` None is any code of that system."""

    system: str | None
    code: str | None


class Reference(NamedTuple):
    """`type` None: a bare id. `foreign`: a URL that is not ours, or an id that is no UUID."""

    type: str | None
    id: str
    foreign: bool = False


@dataclass(frozen=True, slots=True)
class Span:
    """A date searched: its prefix and interval, already widened for `ap`."""

    prefix: Prefix
    interval: Interval


def interval(text: str, zone: tzinfo) -> Interval:
    """The instants that a date covers at its precision; ValueError if it is none."""
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError("not a date")
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    if hour is None:
        return _whole_days(int(year), month, day, zone)
    leap = second == "60"
    at = datetime(  # noqa: DTZ001 (wall clock)
        int(year), int(month), int(day), int(hour), int(minute), 59 if leap else int(second or 0)
    )
    lo = _utc(at, offset, zone) + (_SECOND if leap else 0)
    if second is None:
        return Interval(lo, lo + 60 * _SECOND)
    if fraction is None:
        return Interval(lo, lo + _SECOND)
    lo += int(fraction[:6].ljust(6, "0"))
    return Interval(lo, lo + 10 ** max(6 - len(fraction), 0))


def _whole_days(year: int, month: str | None, day: str | None, zone: tzinfo) -> Interval:
    start = datetime(year, int(month or 1), int(day or 1))  # noqa: DTZ001 (wall clock)
    if day is not None:
        return Interval(_utc(start, None, zone), _midnight_after(start, zone))
    if month is None:
        last = start.replace(month=12, day=31)
    else:
        last = (start.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1) \
            if (year, start.month) != (LAST_YEAR, 12) else start.replace(day=31)  # fmt: skip
    return Interval(_utc(start, None, zone), _midnight_after(last, zone))


def _midnight_after(day: datetime, zone: tzinfo) -> int:
    try:
        return _utc(day + timedelta(days=1), None, zone)
    except OverflowError:
        return OPEN_END


def _utc(at: datetime, offset: str | None, zone: tzinfo) -> int:
    wall = (at - EPOCH) // _TICK
    if offset is None:
        away = at.replace(tzinfo=zone).utcoffset() or timedelta()
        return wall - away // _TICK
    if offset == "Z":
        return wall
    minutes = int(offset[1:3]) * 60 + int(offset[4:6])
    return wall + (minutes if offset[0] == "-" else -minutes) * 60 * _SECOND


def dates(value: object, zone: tzinfo, *, instant: bool = False) -> Interval | None:
    """The outer limits of a date, Period or Timing; None where it has none, or is no date."""
    try:
        if isinstance(value, str):
            lo, hi = interval(value, zone)
            return Interval(lo, lo + 1 if instant else hi)
        if isinstance(value, dict):
            return _limits(value, zone)
    except ValueError:
        return None
    return None


def _limits(value: Json, zone: tzinfo) -> Interval | None:
    """Period or Timing; the end of a Period spans its precision too."""
    repeat = value.get("repeat")
    bounds = repeat.get("boundsPeriod") if isinstance(repeat, dict) else value
    start, end = (
        (bounds.get("start"), bounds.get("end")) if isinstance(bounds, dict) else (None, None)
    )
    found = []
    if isinstance(start, str) or isinstance(end, str):
        lo = interval(start, zone).lo if isinstance(start, str) else OPEN_START
        hi = interval(end, zone).hi if isinstance(end, str) else OPEN_END
        found.append(Interval(lo, max(lo + 1, hi)))  # an end before its start
    events = value.get("event")
    if isinstance(events, list):
        found += [interval(event, zone) for event in events if isinstance(event, str)]
    if not found:
        return None
    return Interval(min(lo for lo, _ in found), max(hi for _, hi in found))


def span(text: str, zone: tzinfo, at: int) -> Span:
    """A search value such as `ge2026-03`; `at` is now, from which `ap` measures its tenth."""
    prefix = Prefix.EQ
    if text[:2] in Prefix.__members__.values():
        prefix, text = Prefix(text[:2]), text[2:]
    try:
        lo, hi = interval(text, zone)
    except ValueError:
        raise Malformed("A date in the search is not a FHIR date.") from None
    if prefix is Prefix.AP:
        distance = max(lo - at, at - hi, 0) // 10
        lo, hi = lo - distance, min(hi + distance, OPEN_END)
    return Span(prefix, Interval(lo, hi))


def meets(found: Interval, searched: Span) -> bool:  # noqa: PLR0911 (nine prefixes)
    """The same comparison that search.py writes as SQL, for values held in memory."""
    lo, hi = found
    a, b = searched.interval
    match searched.prefix:
        case Prefix.EQ:
            return lo >= a and hi <= b
        case Prefix.NE:
            return lo < a or hi > b
        case Prefix.GT:
            return hi > b
        case Prefix.LT:
            return lo < a
        case Prefix.GE:
            return hi > b or lo >= a
        case Prefix.LE:
            return lo < a or hi <= b
        case Prefix.SA:
            return lo >= b
        case Prefix.EB:
            return hi <= a
        case Prefix.AP:
            return lo < b and hi > a


def token(text: str) -> Token:
    """`code`, `system|code`, `|code` (no system), `system|` (any code); escapes still in place."""
    system, bar, code = (unescape(part) for part in _cut(text, "|"))
    if "\0" in text or not (system or code):
        raise Malformed("A token in the search is empty or holds a NUL.")
    if not bar:
        return Token(None, system)
    return Token(system, code or None)


def _cut(text: str, separator: str) -> tuple[str, str, str]:
    parts = split(text, separator)
    return (parts[0], separator if len(parts) > 1 else "", separator.join(parts[1:]))


def split(text: str, separator: str) -> list[str]:
    """Cut at every separator that no backslash escapes."""
    if "\\" not in text:
        return text.split(separator)
    parts, start, place = [], 0, 0
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == separator:
            parts.append(text[start:place])
            start = place + 1
        place += 1
    parts.append(text[start:])
    return parts


def unescape(text: str) -> str:
    r"""Undo `\,` `\|` `\$` `\\`; any other backslash stands for itself."""
    return re.sub(r"\\([,|$\\])", r"\1", text) if "\\" in text else text


def reference(text: str, base: str = "") -> Reference | None:
    """`id`, `Type/id`, `[base]/Type/id`, or a foreign URL; None if it points inside (`#a`)."""
    if text.startswith("#") or not text:
        return None
    found = _RELATIVE.fullmatch(text)
    if found is not None and found["base"] in (None, base):
        name, logical = found["type"], found["id"]
        if is_id(logical):
            return Reference(name, logical)
        return Reference(name, f"{name}/{logical}", foreign=True)
    if is_id(text):
        return Reference(None, text)
    return Reference(None, text, foreign=True)


def logical_id(text: str) -> bool:
    """Whether this has the form of a FHIR id at all."""
    return _ID.fullmatch(text) is not None


def canonical(text: str) -> tuple[str, ...]:
    """What a canonical is found by: itself, and without its version."""
    url, bar, version = text.partition("|")
    return (url, text) if bar and version else (url,)


def fold(text: str) -> str:
    """A string as searches compare it: no case, no accents, single spaces."""
    if text.isascii():
        return " ".join(text.lower().split())
    plain = unicodedata.normalize("NFKD", text)
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).casefold().split())
