"""`python -m bench`: the service beside its floor, on SQLite and PostgreSQL, in one run."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from bench import machine, report, seed, serving
from bench.measure import LOADS, Figure, Place, Plan, cores
from service.app import open_house
from service.cli import setup
from service.settings import from_environment

DOCS = Path(__file__).parents[1] / "docs"
DATABASES = ("postgresql", "sqlite")


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures create, read, search and whole sessions on the service with"
        " everything on, beside a bare FastAPI insert and select. PostgreSQL is started from the"
        " test wheel, or is the one at PEERNOTES_BENCH_DATABASE_URL (databases of our own are made"
        " and dropped there). Writes performance.md and a plot.",
        epilog="Example: python -m bench --databases postgresql --sizes 10000 --seconds 5",
    )
    found.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    found.add_argument("--sizes", nargs="+", type=int, default=[10_000, 100_000], metavar="N",
                       help="encounters to measure at (default: 10000 100000)")  # fmt: skip
    found.add_argument("--people", type=int, default=2_000, help="participants (default: 2000)")
    found.add_argument("--rounds", type=int, default=3, help="rounds of each load (default: 3)")
    found.add_argument("--seconds", type=float, default=2.0, help="of a round (default: 2)")
    found.add_argument("--workers", type=int, default=min(2, cores()),
                       help="server processes on PostgreSQL (default: 2)")  # fmt: skip
    found.add_argument("--docs", type=Path, default=DOCS, help="where to write (default: docs/)")
    found.add_argument("--quick", action="store_true",
                       help="a smoke run of seconds: its figures say nothing")  # fmt: skip
    return found


def planned(chosen: argparse.Namespace) -> Plan:
    if chosen.quick:
        return Plan((60,), 20, 1, 0.3, 0.1, chosen.workers)
    return Plan(
        tuple(sorted(chosen.sizes)), chosen.people, chosen.rounds, chosen.seconds,
        min(1.0, chosen.seconds / 2), chosen.workers,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parser().parse_args(arguments)
    plan, console = planned(chosen), Console(stderr=True)
    began, load = time.monotonic(), machine.load()
    figures: list[Figure] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn())  # fmt: skip
    with serving.postgresql() as server, Progress(*columns, console=console) as progress:
        for name in chosen.databases:
            if name == "postgresql" and server is None:
                console.print("No PostgreSQL: install the test requirements, or set"
                              " PEERNOTES_BENCH_DATABASE_URL. Left out.")  # fmt: skip
                continue
            with tempfile.TemporaryDirectory(prefix="pn-bench-") as folder:
                found = server if name == "postgresql" else None
                figures += measured(plan, found, Path(folder), progress)
    if not figures:
        return 1
    circumstances = report.Circumstances(
        machine.described(), versions(), f"{datetime.now(UTC):%d %B %Y}",  # noqa: TID251 (a report)
        load, machine.load(), (time.monotonic() - began) / 60,
    )  # fmt: skip
    chosen.docs.mkdir(parents=True, exist_ok=True)
    report.write(chosen.docs, figures, plan, circumstances)
    print((chosen.docs / "performance.md").read_text())
    return 0


def measured(plan: Plan, server: str | None, folder: Path, progress: Progress) -> list[Figure]:
    """All sizes on one database, which grows from one to the next."""
    figures: list[Figure] = []
    with serving.database(server, folder) as database:
        settings = {
            "PEERNOTES_DATA_DIR": str(folder / "house"),
            "PEERNOTES_DATABASE_URL": database.url,
            "PEERNOTES_PORT": str(serving.free_port()),
        }
        (folder / "house").mkdir()
        environment = from_environment(settings)
        setup.prepare(environment)
        callers, held = None, 0
        for size in plan.sizes:
            filling = progress.add_task(f"Seeding to {size:,}", total=size - held)
            if callers is None:
                with closing(open_house(environment)) as house:
                    seed.begin(house, plan.people)
                    callers = seed.callers(house)
            advance = partial(progress.advance, filling)
            seed.grow(environment, held, size, plan.people, advance)
            with closing(open_house(environment)) as house:
                seed.catch_up(house)
            held = size
            task = progress.add_task("Measuring", total=plan.rounds * len(LOADS))
            place = Place(plan, database, size, callers, settings)
            figures += place.figures(partial(_tell, progress, task))
    return figures


def _tell(progress: Progress, task: TaskID, what: str) -> None:
    progress.update(task, description=what, advance=1)


def versions() -> str:
    parts = ("fastapi", "uvicorn", "sqlalchemy", "psycopg")
    return ", ".join(f"{name} {version(name)}" for name in parts)


if __name__ == "__main__":
    sys.exit(main())
