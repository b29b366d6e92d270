"""SQL search against a plain evaluation of the same query over the same resources."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from searching import (
    AMB,
    BASE,
    EVERYONE,
    LOINC,
    NOW,
    SNOMED,
    ZONE,
    House,
    asked,
    every_id,
    searcher,
)

from service.database.transactions import Transactions
from service.records.search import Searcher

Doc = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FAR = 2**62
CODES = ("A", "a", "b", "c\\,d", "AMB", "note", "survey", "nowhere")
TYPES = ("Encounter", "DocumentReference", "Observation")


def codings(*concepts: Any) -> list[tuple[str, str]]:
    return [(c.get("system", ""), c["code"].lower())
            for one in concepts if one for c in one.get("coding", [one])]  # fmt: skip


TOKENS: dict[tuple[str, str], Callable[[Doc], list[tuple[str, str]]]] = {
    ("Encounter", "class"): lambda d: codings(d["class"]),
    ("Encounter", "type"): lambda d: codings(*d.get("type", [])),
    ("Encounter", "status"): lambda d: [("http://hl7.org/fhir/encounter-status", d["status"])],
    ("DocumentReference", "type"): lambda d: codings(d.get("type")),
    ("DocumentReference", "category"): lambda d: codings(*d.get("category", [])),
    ("Observation", "code"): lambda d: codings(d.get("code")),
    ("Observation", "category"): lambda d: codings(*d.get("category", [])),
    **{(type_, "identifier"): lambda d: [
        (i.get("system", ""), i["value"]) for i in d.get("identifier", [])
    ] for type_ in TYPES},
}  # fmt: skip
DATES: dict[tuple[str, str], Callable[[Doc], Any]] = {
    ("Encounter", "date"): lambda d: d.get("period"),
    ("DocumentReference", "period"): lambda d: d.get("context", {}).get("period"),
    ("DocumentReference", "date"): lambda d: ("instant", d["date"]) if "date" in d else None,
    ("Observation", "date"): lambda d: d.get("effectiveDateTime") or d.get("effectivePeriod"),
}
LINKS: dict[tuple[str, str], Callable[[Doc], list[str]]] = {
    ("Encounter", "participant"): lambda d: [
        p["individual"]["reference"] for p in d.get("participant", [])
    ],
    ("Encounter", "practitioner"): lambda d: [
        p["individual"]["reference"] for p in d.get("participant", [])
        if p["individual"]["reference"].removeprefix(BASE + "/").startswith("Practitioner/")
    ],
    ("DocumentReference", "author"): lambda d: [a["reference"] for a in d.get("author", [])],
    ("Observation", "performer"): lambda d: [a["reference"] for a in d.get("performer", [])],
}  # fmt: skip


def ticks(at: datetime) -> int:
    return (at.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)


def covers(text: str) -> tuple[int, int]:
    """A second reading of FHIR dates, by calendar arithmetic of datetime alone."""
    if "T" not in text:
        parts = [int(p) for p in text.split("-")]
        start = datetime(*[*parts, 1, 1][:3], tzinfo=ZONE)
        match len(parts):
            case 1:
                end = start.replace(year=start.year + 1)
            case 2:
                end = (start + timedelta(days=32)).replace(day=1)
            case _:
                end = (start.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=ZONE)
        return ticks(start), ticks(end)
    lo = ticks(datetime.fromisoformat(text))
    return lo, lo + (100_000 if "." in text else 1_000_000)


def found_dates(value: Any) -> tuple[int, int] | None:
    match value:
        case None:
            return None
        case str():
            return covers(value)
        case ("instant", str(text)):
            return covers(text)[0], covers(text)[0] + 1
    if not value:
        return None
    lo = covers(value["start"])[0] if "start" in value else -FAR
    hi = covers(value["end"])[1] if "end" in value else FAR
    return lo, max(hi, lo + 1)


def date_meets(found: tuple[int, int] | None, text: str) -> bool:
    if found is None:
        return False
    prefix, rest = (text[:2], text[2:]) if text[0].isalpha() else ("eq", text)
    (lo, hi), (a, b) = found, covers(rest)
    if prefix == "ap":
        slack = max(a - NOW, NOW - b, 0) // 10
        return lo < b + slack and hi > a - slack
    return {
        "eq": a <= lo and hi <= b, "ne": not (a <= lo and hi <= b), "gt": hi > b, "lt": lo < a,
        "ge": hi > b or lo >= a, "le": lo < a or hi <= b, "sa": lo >= b, "eb": hi <= a,
    }[prefix]  # fmt: skip


def token_meets(found: list[tuple[str, str]], text: str, *, folds: bool) -> bool:
    text = text.replace("\\,", ",")
    system, bar, code = text.rpartition("|")
    code = code.lower() if folds else code
    return any((not bar or s == system) and (not code or c == code) for s, c in found)


def link_meets(found: list[str], text: str) -> bool:
    ours = [one.removeprefix(BASE + "/") for one in found]
    text = text.removeprefix(BASE + "/")
    if "/" in text:
        return text in ours
    return any(one.split("/")[1] == text for one in ours if not one.startswith("http"))


def meets(patient: str, doc: Doc, name: str, text: str) -> bool:
    """One parameter with its modifier, on one resource."""
    bare, _, modifier = name.partition(":")
    if bare in ("patient", "subject"):
        return any(patient == one.removeprefix("Patient/") for one in text.split(","))
    key = (doc["resourceType"], bare)
    parts = text.replace("\\,", "\0").split(",")
    parts = [part.replace("\0", "\\,") for part in parts]
    if modifier == "missing":
        values: Any = found_dates(DATES[key](doc)) if key in DATES else (TOKENS | LINKS)[key](doc)
        return (not values) == (text == "true")
    if key in TOKENS:
        values = TOKENS[key](doc)
        one = any(token_meets(values, part, folds=bare != "identifier") for part in parts)
    elif key in DATES:
        values = found_dates(DATES[key](doc))
        one = any(date_meets(values, part) for part in parts)
    else:
        values = LINKS[key](doc)
        one = any(link_meets(values, part) for part in parts)
    return one != (modifier == "not")


HOUSE = House(seed=7, size=160)
PATIENTS = st.sampled_from(HOUSE.patients)
MOMENTS = st.sampled_from(
    ("2025", "2024", "2025-01", "2025-02", "2025-01-09", "2025-02-28", "2025-01-09T04:00:00Z",
     "2025-03-09T05:00:00Z", "2025-01-09T00:00:00-05:00", "2025-02-09T12:30:00.5Z", "2026-03-12")
)  # fmt: skip
PREFIXES = st.sampled_from(("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"))


def lists(one: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(one, min_size=1, max_size=3).map(",".join)


def pair(key: tuple[str, str]) -> st.SearchStrategy[tuple[str, str]]:
    _, name = key
    missing = st.tuples(st.just(f"{name}:missing"), st.sampled_from(("true", "false")))
    if key in DATES:
        return lists(st.builds(str.__add__, PREFIXES, MOMENTS)).map(lambda v: (name, v)) | missing
    if key in LINKS:
        ids = st.sampled_from(HOUSE.staff)
        forms = ["{}", "Practitioner/{}", "PractitionerRole/{}", BASE + "/Practitioner/{}",
                 "https://else.example/PractitionerRole/{}"]  # fmt: skip
        if name == "practitioner":
            forms = forms[:2]
        link = st.builds(str.format, st.sampled_from(forms), ids)
        return lists(link).map(lambda v: (name, v)) | missing
    codes = st.sampled_from(("N1", "n1", "N2") if name == "identifier" else CODES)
    systems = st.sampled_from(
        ("urn:here", "urn:there") if name == "identifier" else (SNOMED, LOINC, AMB)
    )
    if name == "status":
        codes = st.sampled_from(("finished", "Finished", "in-progress", "planned"))
        systems = st.sampled_from(("http://hl7.org/fhir/encounter-status", SNOMED))
    token = (
        codes | codes.map(lambda c: f"|{c}") | st.builds("{}|{}".format, systems, codes)
        | systems.map(lambda s: f"{s}|")
    )  # fmt: skip
    return st.tuples(st.sampled_from((name, name, f"{name}:not")), lists(token)) | missing


@st.composite
def searches(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    type_ = draw(st.sampled_from(TYPES))
    keys = sorted(k for k in (*TOKENS, *DATES, *LINKS) if k[0] == type_)
    pairs = [draw(pair(draw(st.sampled_from(keys)))) for _ in range(draw(st.integers(0, 3)))]
    anchor = draw(st.sampled_from(("none", "one", "one", "two")))
    if anchor != "none":
        form = draw(st.sampled_from(("{}", "Patient/{}")))
        chosen = [form.format(draw(PATIENTS)) for _ in range(1 if anchor == "one" else 2)]
        pairs.append((draw(st.sampled_from(("patient", "subject"))), ",".join(chosen)))
    return type_, pairs


@pytest.fixture
def found(opener: Transactions) -> Iterator[Searcher]:
    with opener.write() as connection:
        HOUSE.load(connection)
    with opener.read() as connection:
        yield searcher(connection)


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(asking=searches())
def test_sql_finds_what_a_plain_evaluation_finds(
    found: Searcher, asking: tuple[str, list[tuple[str, str]]]
) -> None:
    type_, pairs = asking
    expected = {
        doc["id"]
        for patient, doc in HOUSE.documents
        if doc["resourceType"] == type_
        and all(
            meets(patient, doc, name, text.replace("Patient/", "") if name in ("patient", "subject")
                  else text)
            for name, text in pairs
        )
    }  # fmt: skip
    count = (3, 7, 1000)[len(str(pairs)) % 3]
    query = asked(type_, *pairs, ("_count", str(count)), ("_total", "accurate"))
    ids = every_id(found.connection, query, EVERYONE)
    assert len(ids) == len(set(ids))
    assert set(ids) == expected
    assert found.page(query).total == len(expected)
