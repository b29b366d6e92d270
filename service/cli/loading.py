"""`peernotes import DIR`: FHIR R4 NDJSON or Bundles, as an EHR's bulk export writes them.

Each batch is one commit with its ledger entries. Running it again is safe: what is stored already
with the same content is left alone. A refused line is reported with file, line, element and rule,
never with its content; nothing of it is stored.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from service.app import House, open_house
from service.cli import setup
from service.cli.intake import Intake, Tally
from service.settings import Settings


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
    parser.set_defaults(run=run)


def run(arguments: Namespace, settings: Settings) -> int:
    if not arguments.directory.is_dir():
        raise ValueError(f"{arguments.directory} is not a directory: give the export's folder.")
    setup.prepare(settings)
    house = open_house(settings)
    try:
        tally = load(house, arguments.directory, Console(stderr=True))
    finally:
        house.close()
    report = arguments.report or settings.data_dir / "import.tsv"
    report.write_text("".join(f"{fault}\n" for fault in tally.faults))
    _tell(tally, report)
    return 1 if tally.faults else 0


def load(house: House, directory: Path, console: Console) -> Tally:
    intake = Intake(house.access, directory, house.settings.data_dir / "import")
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=console,
    ) as progress:  # fmt: skip
        task = progress.add_task("Reading", total=intake.count())
        for name, done in intake.work():
            progress.update(task, advance=done, description=name)
    return intake.tally


def _tell(tally: Tally, report: Path) -> None:
    print(f"{tally.stored} stored, {tally.unchanged} already here, {len(tally.faults)} refused.")
    for type_, count in sorted(tally.not_kept.items()):
        print(f"{count} {type_}: a type that peernotes does not keep; passed over.")
    if tally.faults:
        print(f"Refused lines, with element and rule: {report}")
