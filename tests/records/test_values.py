"""Dates as half-open intervals, and the small languages of search values."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import Malformed
from service.records.values import (
    Interval,
    Prefix,
    Reference,
    Span,
    Token,
    canonical,
    dates,
    fold,
    interval,
    meets,
    reference,
    span,
    split,
    token,
    unescape,
)
from service.vocabulary import OPEN_END, OPEN_START

NEW_YORK = ZoneInfo("America/New_York")
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def at(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("2024", at(2024, 1, 1, 5), at(2025, 1, 1, 5)),
        ("2024-02", at(2024, 2, 1, 5), at(2024, 3, 1, 5)),
        ("2024-12", at(2024, 12, 1, 5), at(2025, 1, 1, 5)),
        ("2024-03-10", at(2024, 3, 10, 5), at(2024, 3, 11, 4)),  # 23 hours: clocks go forward
        ("2024-11-03", at(2024, 11, 3, 4), at(2024, 11, 4, 5)),  # 25 hours
        ("2024-02-10T10:00", at(2024, 2, 10, 15), at(2024, 2, 10, 15, 1)),
        ("2024-02-10T10:00:00Z", at(2024, 2, 10, 10), at(2024, 2, 10, 10, 0, 1)),
        ("2024-02-10T10:00:00+02:00", at(2024, 2, 10, 8), at(2024, 2, 10, 8, 0, 1)),
        ("2024-02-10T10:00:00 02:00", at(2024, 2, 10, 8), at(2024, 2, 10, 8, 0, 1)),
        ("2016-12-31T23:59:60Z", at(2017, 1, 1), at(2017, 1, 1, 0, 0, 1)),
        ("2024-02-10T10:00:00.25Z", at(2024, 2, 10, 10) + 250_000, at(2024, 2, 10, 10) + 260_000),
        ("2024-02-10T10:00:00.123456789Z", at(2024, 2, 10, 10) + 123_456,
         at(2024, 2, 10, 10) + 123_457),
    ],
)  # fmt: skip
def test_a_date_spans_its_precision_in_the_sites_zone(text: str, lo: int, hi: int) -> None:
    assert interval(text, NEW_YORK) == (lo, hi)


@pytest.mark.parametrize(
    "text", ["", "20", "2024-13", "2024-02-30", "2024-1-1", "2024-02-10T10", "2024-02-10T25:00:00Z",
             "10000", "2024-02-10T10:00:00.Z", "٢٠٢٤", "2024-02-10\n", "0000"]
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (any of datetime's)
        interval(text, NEW_YORK)
    with pytest.raises(Malformed):
        span("ge" + text, NEW_YORK, 0)


@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001
    st.sampled_from(["%Y", "%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f"]),
    st.sampled_from(["", "Z", "+14:00", "-12:00"]),
)
def test_every_date_has_a_forward_interval(when: datetime, form: str, offset: str) -> None:
    text = when.strftime(form.replace("%Y", f"{when.year:04}"))
    lo, hi = interval(text + (offset if "T" in text else ""), NEW_YORK)
    assert OPEN_START < lo < hi <= OPEN_END


def test_periods_and_timings_have_outer_limits() -> None:
    year = interval("2024", UTC)
    assert dates({"start": "2024", "end": "2024"}, UTC) == year
    assert dates({"start": "2024"}, UTC) == (year.lo, OPEN_END)
    assert dates({"end": "2024-02-10"}, UTC) == (OPEN_START, at(2024, 2, 11))
    assert dates({"event": ["2024-03", "2024-01-05"]}, UTC) == (at(2024, 1, 5), at(2024, 4, 1))
    assert dates({"repeat": {"boundsPeriod": {"start": "2024"}}}, UTC) == (year.lo, OPEN_END)
    assert dates({"repeat": {"frequency": 1}}, UTC) is None
    assert dates({}, UTC) is None
    assert dates(17, UTC) is None
    assert dates("2024-02-10T10:00:00Z", UTC, instant=True) == (
        at(2024, 2, 10, 10), at(2024, 2, 10, 10) + 1)  # fmt: skip


def test_a_period_that_ends_before_it_starts_is_still_an_interval() -> None:
    lo, hi = dates({"start": "2025", "end": "2024"}, UTC) or Interval(0, 0)
    assert lo < hi


def test_gt_is_not_sa_and_lt_is_not_eb() -> None:
    day = interval("2024-02-10", UTC)
    overlapping = Interval(day.lo - 10, day.hi + 10)
    assert meets(overlapping, Span(Prefix.GT, day))
    assert not meets(overlapping, Span(Prefix.SA, day))
    assert meets(overlapping, Span(Prefix.LT, day))
    assert not meets(overlapping, Span(Prefix.EB, day))
    assert not meets(overlapping, Span(Prefix.EQ, day))


intervals = st.tuples(st.integers(0, 20), st.integers(1, 5)).map(lambda p: Interval(p[0], sum(p)))


@given(intervals, intervals)
def test_prefixes_relate_as_fhir_says(found: Interval, searched: Interval) -> None:
    says = {prefix: meets(found, Span(prefix, searched)) for prefix in Prefix}
    assert says[Prefix.NE] != says[Prefix.EQ]
    assert says[Prefix.GE] == (says[Prefix.GT] or found.lo >= searched.lo)
    assert says[Prefix.LE] == (says[Prefix.LT] or found.hi <= searched.hi)
    assert not says[Prefix.SA] or says[Prefix.GT]
    assert not says[Prefix.EB] or says[Prefix.LT]
    assert not says[Prefix.EQ] or (says[Prefix.GE] and says[Prefix.LE] and says[Prefix.AP])


def test_about_widens_by_a_tenth_of_the_distance_to_now() -> None:
    day, now = interval("2024-02-10", UTC), at(2024, 2, 21)
    assert span("ap2024-02-10", UTC, now).interval == (day.lo - 86_400_000_000,
                                                       day.hi + 86_400_000_000)  # fmt: skip
    assert span("ap2024-02-10", UTC, day.lo).interval == day


def test_tokens_have_four_forms() -> None:
    assert token("a") == Token(None, "a")
    assert token("s|a") == Token("s", "a")
    assert token("|a") == Token("", "a")
    assert token("s|") == Token("s", None)
    assert token(r"s\|t|a\,b") == Token("s|t", "a,b")
    for text in ("", "|", "a\0"):
        with pytest.raises(Malformed):
            token(text)


@given(st.lists(st.text(alphabet="a\\,|$", min_size=1), min_size=1))
def test_escaped_parts_split_where_they_were_joined(parts: list[str]) -> None:
    escaped = ["".join("\\" + c if c in "\\,|$" else c for c in part) for part in parts]
    assert [unescape(part) for part in split(",".join(escaped), ",")] == parts


def test_references_to_us_are_type_and_id_however_written() -> None:
    base = "https://notes.example/fhir"
    ours = Reference("Patient", UUID)
    assert reference(f"Patient/{UUID}", base) == ours
    assert reference(f"{base}/Patient/{UUID}", base) == ours
    assert reference(f"Patient/{UUID}/_history/3", base) == ours
    assert reference(UUID, base) == Reference(None, UUID)
    assert reference("#inside", base) is None
    for foreign in (f"https://else.example/Patient/{UUID}", f"urn:uuid:{UUID}", UUID.upper(),
                    "Patient?identifier=1", "Patient/17"):  # fmt: skip
        found = reference(foreign, base)
        assert found is not None
        assert found.foreign


def test_canonicals_are_found_with_and_without_their_version() -> None:
    assert canonical("http://a/q|2") == ("http://a/q", "http://a/q|2")
    assert canonical("http://a/q") == ("http://a/q",)


def test_strings_fold_case_accents_and_spaces() -> None:
    assert fold("  José  MARÍA ") == fold("jose maria")
    assert fold("Straße") == fold("STRASSE")
    assert fold("\u0301") == ""
