"""Writes docs/performance.md and its plot from the figures of one run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import (
    CREATE,
    INSERT,
    LOADS,
    OUTSIDE_READ,
    OUTSIDE_SEARCH,
    READ,
    SEARCH,
    SELECT,
    SESSION,
    Figure,
    Plan,
)
from bench.plot import Group, bars

BUDGETS = {CREATE: 900, READ: 1_800, SEARCH: 1_700, SESSION: 400}
"""Requests a second: two cores, the load generator on them, PostgreSQL (design, section 5)."""
FLAT = 0.2
NOTES = Path(__file__).parent / "notes.md"
"""What the figures do not say by themselves; appended to every report."""
PLOT = "performance.svg"


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What must be known to judge a figure."""

    machine: str
    versions: str
    day: str
    load_before: float
    load_after: float
    minutes: float


def write(
    folder: Path, figures: Sequence[Figure], plan: Plan, circumstances: Circumstances
) -> None:
    """`folder` gets performance.md and performance.svg."""
    parts = [*_head(plan, circumstances), *_budgets(figures), *_tables(figures)]
    (folder / "performance.md").write_text("\n".join(parts) + "\n" + NOTES.read_text())
    (folder / PLOT).write_text(_plot(figures))


def _head(plan: Plan, c: Circumstances) -> Iterator[str]:
    yield "# Performance"
    yield ""
    yield (
        "Written by `make bench`. The service with everything on (consent, sealing, versions,"
        " search rows, ledger, sequencer, notary) beside its floor: a bare FastAPI application that"
        " inserts or selects one row of the same bytes, with the same server, driver, pool,"
        " durability and load generator, in turns, in the same run."
    )
    yield ""
    yield f"- Machine: {c.machine}. {c.versions}."
    yield (
        f"- {c.day}, {c.minutes:.0f} minutes; load average {c.load_before:.1f} before,"
        f" {c.load_after:.1f} after. A machine that others use as well shows lower rates: then"
        " read ratios and processor time."
    )
    yield (
        f"- 16 connections, each waiting for its answer; {plan.rounds} rounds of"
        f" {plan.seconds:g} s a load, each after {plan.warm:g} s that do not count;"
        f" {plan.people:,} participants; server processes: {plan.workers} on PostgreSQL, 1 on"
        " SQLite. Load generator and database share the cores."
    )
    yield (
        "- Processor time is user and system time of all processes of the server, and of the"
        " database, until the ledger's sequencer has caught up. *Capacity* is what two cores with"
        " nothing else to do have that time for, load generator included."
    )
    yield (
        "- A session is one sync push: Encounter, note, two Provenances and the co-sign Task, five"
        " records in one commit. On SQLite the database runs inside the server."
    )
    yield ""
    yield f"![Requests a second]({PLOT})"


def _budgets(figures: Sequence[Figure]) -> Iterator[str]:
    yield ""
    yield "## Budgets"
    yield ""
    yield "| budget | wanted | database | found | |"
    yield "|---|---|---|---|---|"
    for database, size in _places(figures):
        for what, wanted, found, kept in _ratios(_of(figures, database, size)):
            yield _row(what, wanted, f"{database}, {size:,}", found, kept=kept)
    for database in dict.fromkeys(figure.database for figure in figures):
        yield from _flatness(figures, database)
    yield from _absolute(figures)


def _ratios(by: dict[str, Figure]) -> Iterator[tuple[str, str, str, bool]]:
    for load, floor in ((CREATE, INSERT), (READ, SELECT)):
        share = by[load].rate / by[floor].rate
        yield f"{load} against its floor", ">= 0.50", f"{share:.2f}", share >= 0.5  # noqa: PLR2004
    times = by[READ].rate / by[SEARCH].rate
    yield "search against a read", "<= 2.0", f"{times:.2f}", times <= 2  # noqa: PLR2004


def _flatness(figures: Sequence[Figure], database: str) -> Iterator[str]:
    """Processor time a request, since it does not depend on what else the machine does."""
    sizes = sorted({figure.encounters for figure in figures if figure.database == database})
    if len(sizes) == 1:
        return
    first, last = _of(figures, database, sizes[0]), _of(figures, database, sizes[-1])
    for load in (CREATE, READ, SEARCH):
        growth = _spent(last[load]) / _spent(first[load]) - 1
        yield _row(
            f"{load}: processor time, {sizes[0]:,} to {sizes[-1]:,}", "within 20 %", database,
            f"{growth:+.0%}", kept=growth <= FLAT,
        )  # fmt: skip


def _absolute(figures: Sequence[Figure]) -> Iterator[str]:
    sizes = [figure.encounters for figure in figures if figure.database == "PostgreSQL"]
    if not sizes:
        return
    by = _of(figures, "PostgreSQL", max(sizes))
    for load, wanted in BUDGETS.items():
        found = f"{by[load].rate:,.0f} a second; capacity {by[load].capacity:,.0f}"
        yield _row(
            load, f"{wanted:,} a second", f"PostgreSQL, {max(sizes):,}", found,
            kept=by[load].rate >= wanted,
        )  # fmt: skip


def _row(what: str, wanted: str, where: str, found: str, *, kept: bool) -> str:
    return f"| {what} | {wanted} | {where} | {found} | {'kept' if kept else '**missed**'} |"


def _tables(figures: Sequence[Figure]) -> Iterator[str]:
    for database, size in _places(figures):
        by = _of(figures, database, size)
        yield ""
        yield f"## {database}, {size:,} encounters"
        yield ""
        yield (
            "| load | a second | against its floor | median ms | 99th percentile ms | server us |"
            " database us | load generator us | capacity |"
        )
        yield "|---|---|---|---|---|---|---|---|---|"
        for load in LOADS:
            one = by[load]
            floor = by[INSERT] if load in (CREATE, INSERT, SESSION) else by[SELECT]
            yield (
                f"| {load} | {one.rate:,.0f} | {one.rate / floor.rate:.2f} | {one.median:.1f} |"
                f" {one.tail:.1f} | {one.server_cpu:,.0f} | {one.database_cpu:,.0f} |"
                f" {one.load_cpu:,.0f} | {one.capacity:,.0f} |"
            )


def _plot(figures: Sequence[Figure]) -> str:
    places = _places(figures)
    found = {place: _of(figures, *place) for place in places}
    groups = [
        Group(label, tuple(found[place][load].rate for place in places))
        for load, label in (
            (INSERT, "insert (floor)"), (CREATE, "create"), (SELECT, "select (floor)"),
            (READ, "read"), (SEARCH, "search"), (OUTSIDE_READ, "outside read"),
            (OUTSIDE_SEARCH, "outside search"), (SESSION, "session"),
        )
    ]  # fmt: skip
    names = [f"{database}, {size:,}" for database, size in places]
    return bars("Requests a second, 16 connections", names, groups)


def _places(figures: Sequence[Figure]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((figure.database, figure.encounters) for figure in figures))


def _of(figures: Sequence[Figure], database: str, size: int) -> dict[str, Figure]:
    return {
        figure.load: figure for figure in figures
        if figure.database == database and figure.encounters == size
    }  # fmt: skip


def _spent(figure: Figure) -> float:
    return figure.server_cpu + figure.database_cpu
