"""FHIR dates as half-open intervals of microseconds; a date alone is a day of the program's zone.

A second date reader beside the store's: rules are pure and know no store.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from service.vocabulary import OPEN_END, OPEN_START, Micros

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PARTIAL = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
INSTANT = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})", re.ASCII
)
LAST = datetime.max.replace(tzinfo=UTC)


def micros(moment: datetime) -> Micros:
    return Micros((moment - EPOCH) // timedelta(microseconds=1))


def span(text: object, zone: tzinfo) -> tuple[Micros, Micros] | None:
    """The whole time a FHIR date or dateTime stands for; None if it cannot be read."""
    if not isinstance(text, str):
        return None
    try:
        if match := INSTANT.fullmatch(text):
            lo = micros(datetime.fromisoformat(text))
            return lo, Micros(lo + (1 if match[1] else 1_000_000))
        if match := PARTIAL.fullmatch(text):
            return partial(match, zone)
    except (ValueError, OverflowError):
        return None
    return None


def partial(match: re.Match[str], zone: tzinfo) -> tuple[Micros, Micros]:
    year, month, day = (int(part) if part else None for part in match.groups())
    start = datetime(year or 0, month or 1, day or 1, tzinfo=zone)
    try:
        end = after(start, month, day)
    except (ValueError, OverflowError):  # 9999-12-31, which people write for "no end"
        end = LAST
    return micros(start), micros(end)


def after(start: datetime, month: int | None, day: int | None) -> datetime:
    if day:
        return start + timedelta(days=1)
    if month:
        return start.replace(year=start.year + month // 12, month=month % 12 + 1)
    return start.replace(year=start.year + 1)


def period(value: object, zone: tzinfo) -> tuple[Micros, Micros] | None:
    """A FHIR Period; None if it says nothing, cannot be read, or ends before it starts."""
    if not isinstance(value, dict) or value.keys() - {"start", "end", "id", "extension"}:
        return None
    if not value.keys() & {"start", "end"}:
        return None
    lo, hi = OPEN_START, OPEN_END
    if "start" in value:
        start = span(value["start"], zone)
        if start is None:
            return None
        lo = start[0]
    if "end" in value:
        end = span(value["end"], zone)
        if end is None:
            return None
        hi = end[1]
    return (lo, hi) if lo < hi else None
