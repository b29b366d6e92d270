"""Runs the command line: in this process where it is quick, in a process of its own to kill it."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch
from urllib.request import urlopen

import pytest

from service.cli.main import main, parser
from service.settings import from_environment

ROOT = Path(__file__).parents[2]
PEERNOTES = [sys.executable, "-c", "from service.cli.main import main; main()"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(folder: Path, url: str = "", **more: str) -> dict[str, str]:
    return {
        "PEERNOTES_DATA_DIR": str(folder),
        "PEERNOTES_PORT": str(free_port()),
        "PEERNOTES_DATABASE_URL": url,
    } | more


def here(environ: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Exit code, and what was said on stderr, of a command in this process."""
    said = io.StringIO()
    with (
        patch.dict(os.environ, environ),
        redirect_stdout(io.StringIO()),
        redirect_stderr(said),
        pytest.raises(SystemExit) as done,
    ):
        main(arguments)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return int(done.value.code or 0), said.getvalue()


def started(environ: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*PEERNOTES, *arguments], env=os.environ | environ, cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def serving(environ: dict[str, str], process: subprocess.Popen[bytes]) -> float:
    """Seconds until it answers ready."""
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < 60:
        try:
            with urlopen(f"http://127.0.0.1:{environ['PEERNOTES_PORT']}/readyz", timeout=5):
                return time.monotonic() - began
        except OSError:
            time.sleep(0.05)
    pytest.fail(f"it did not serve; exit code {process.poll()}")


def terminated(process: subprocess.Popen[bytes]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=30)


@dataclass(frozen=True)
class Loaded:
    code: int
    said: str
    report: list[list[str]]

    @property
    def counts(self) -> tuple[int, ...]:
        """Stored, already here, refused."""
        found = re.search(r"(\d+) stored, (\d+) already here, (\d+) refused", self.said)
        assert found, self.said
        return tuple(int(number) for number in found.groups())


def load(
    environ: dict[str, str], directory: Path, *flags: str, capsys: pytest.CaptureFixture[str]
) -> Loaded:
    settings = from_environment(environ)
    arguments = parser().parse_args(["import", str(directory), *flags])
    code = arguments.run(arguments, settings)
    report = settings.data_dir / "import.tsv"
    return Loaded(
        code,
        capsys.readouterr().out,
        [line.split("\t") for line in report.read_text().splitlines()],
    )
