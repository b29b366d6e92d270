"""What the command line says of itself: every command has help with an example that parses."""

import re
import shlex
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from service import settings
from service.cli.main import main, parser

DOCS = Path(__file__).parents[2] / "docs"


def commands(top: ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for action in top._actions:
        if isinstance(action, _SubParsersAction):
            for name, below in action.choices.items():
                yield (*path, name)
                yield from commands(below, (*path, name))


EVERY = sorted(commands(parser()))


@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_every_command_has_help_with_an_example_that_parses(
    command: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "500")  # an example is not broken at a hyphen
    with pytest.raises(SystemExit) as done:
        main([*command, "--help"])
    assert done.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    example = said.partition("Example: ")[2].partition(" > ")[0]
    words = shlex.split(example)
    given = words[words.index("peernotes") + 1 :]
    assert given[: len(command)] == list(command) or command[0] == given[0]
    parser().parse_args(given)


def test_every_setting_is_documented_and_no_other() -> None:
    read = set(re.findall(r'"([A-Z_]{4,})"', Path(settings.__file__).read_text()))
    read -= {settings.PREFIX}
    text = (DOCS / "operations.md").read_text()
    documented = set(re.findall(r"^\| `PEERNOTES_([A-Z_]+)`", text, re.MULTILINE))
    assert read == documented
    assert len(read) == len(fields(settings.Settings))


def test_every_command_is_documented() -> None:
    text = (DOCS / "operations.md").read_text()
    assert [name for name, *more in EVERY if not more and f"`peernotes {name}" not in text] == []
