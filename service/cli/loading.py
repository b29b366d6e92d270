"""`peernotes import DIR`: FHIR R4 NDJSON or Bundles, as an EHR's bulk export writes them.

Each batch is one commit with its ledger entries. Running it again is safe: what is stored already
with the same content is left alone. A refused line is reported with file, line, element and rule,
never with its content; nothing of it is stored.
"""

import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.app import House, open_house
from service.cli import setup
from service.cli.intake import Intake, Tally
from service.cli.sources import files
from service.settings import Settings

GIVE_WAY = 0.11
"""Seconds between batches on SQLite: another process that waits to write looks every 0.1 s, and
without a pause would hardly ever find the file free."""


def add_to(commands: Any) -> None:  # noqa: ANN401 (argparse names no type for it)
    parser = commands.add_parser(
        "import",
        help="load FHIR R4 NDJSON or Bundles from a directory",
        description="Loads every .ndjson, .ndjson.gz and .json (Bundle) under DIR. Resumes where an"
        " interrupted run stopped; running it twice changes nothing.",
        epilog="Example: peernotes import export/2026-11-24",
    )
    parser.add_argument("directory", metavar="DIR", type=Path)
    parser.add_argument(
        "--report", type=Path, help="where refused lines are listed (default: DATA_DIR/import.tsv)"
    )
    parser.add_argument(
        "--again", action="store_true", help="look at every line, whatever an earlier run noted"
    )
    parser.set_defaults(run=run)


def run(arguments: Namespace, settings: Settings) -> int:
    directory: Path = arguments.directory
    report: Path = arguments.report or settings.data_dir / "import.tsv"
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a directory: give the folder of the export.")
    if not files(directory):
        raise ValueError(f"{directory} holds no .ndjson, .ndjson.gz or .json file.")
    if arguments.report and not report.absolute().parent.is_dir():
        raise ValueError(f"The report's folder {report.parent} is not there: make it first.")
    setup.prepare(settings)
    house = open_house(settings)
    try:
        tally = load(house, directory, Console(stderr=True), again=arguments.again)
    finally:
        house.close()
    report.write_text("".join(f"{fault}\n" for fault in tally.faults))
    _tell(tally, report)
    return 1 if tally.faults else 0


def load(house: House, directory: Path, console: Console, *, again: bool = False) -> Tally:
    notes = house.settings.data_dir / "import"
    intake = Intake(house.access, directory, notes, again=again)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console,
    ) as progress:  # fmt: skip
        task = progress.add_task("Reading", total=intake.count())
        for name, done in intake.work():
            progress.update(task, advance=done, description=name)
            if done and house.settings.sqlite:
                time.sleep(GIVE_WAY)
    return intake.tally


def _tell(tally: Tally, report: Path) -> None:
    print(f"{tally.stored} stored, {tally.unchanged} already here, {tally.refused} refused.")
    for type_, count in sorted(tally.not_kept.items()):
        print(f"{count} {type_}: a type that peernotes does not keep; passed over.")
    if tally.faults:
        print(f"Refused lines, with element and rule: {report}")
