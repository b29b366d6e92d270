"""`peernotes demo`: the mission, played against the running service over HTTP, and narrated.

Stops with exit code 1 at the first step that does not hold; what it checks is what it prints.
"""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console

from service.cli import story
from service.cli.people import Ehr, Person
from service.settings import Settings


def add_to(commands: Any) -> None:  # noqa: ANN401 (argparse names no type for it)
    parser = commands.add_parser(
        "demo",
        help="play the mission against the running service",
        description="A peer logs a session, a supervisor co-signs, an EHR pulls it under consent,"
        " the participant revokes, a compliance officer verifies the log. Needs `peernotes run` in"
        " another terminal.",
        epilog="Example: peernotes demo",
    )
    parser.set_defaults(run=run)


def run(_arguments: Namespace, settings: Settings) -> int:
    console = Console()
    folder = settings.data_dir / "demo"
    try:
        staff = {person["username"]: person for person in _read(folder / "staff.json")}
        client = _read(folder / "ehr-client.json")
        with httpx2.Client(base_url=settings.base_url, timeout=30) as web:
            people = {name: Person(web, **secrets) for name, secrets in staff.items()}
            story.play(console, people, Ehr(web, client), settings)
    except story.StepFailed as failed:
        console.print(f"[bold red]This step does not hold:[/] {failed}")
        return 1
    except httpx2.HTTPError as error:
        console.print(
            f"[bold red]No answer from {settings.base_url}[/] ({type(error).__name__}): start"
            " `peernotes run` in another terminal, with the same PEERNOTES_ variables."
        )
        return 1
    return 0


def _read(path: Path) -> Any:  # noqa: ANN401 (JSON)
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{path} is not there: run `peernotes run` once in demo mode.") from None
