"""`peernotes` in processes of its own, for stories about crashes and about what lies on disks."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx2

from service.settings import Settings

START = 40.0


class Process:
    """One installation; its server may be started and killed again and again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.log = settings.data_dir.parent / f"{settings.data_dir.name}.log"
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once /readyz says that reads and writes would be answered."""
        with self.log.open("ab") as log:
            self._server = subprocess.Popen(
                [*COMMAND, "run"], env=self._environment(), stdout=log, stderr=log
            )
        until = time.monotonic() + START
        while not self._ready():
            assert self._server.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < until, "the service does not get ready"
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, no handler runs."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another peernotes command on the same installation; its output is logged too."""
        done = subprocess.run(
            [*COMMAND, *arguments], env=self._environment(), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        with self.log.open("a") as log:
            log.write(done.stdout + done.stderr)
        return done

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"{self.settings.base_url}/readyz", timeout=2).status_code == 200
        except httpx2.HTTPError:
            return False

    def _environment(self) -> dict[str, str]:
        settings = self.settings
        return os.environ | {
            "PEERNOTES_DATA_DIR": str(settings.data_dir),
            "PEERNOTES_PORT": str(settings.port),
            "PEERNOTES_DATABASE_URL": settings.database_url,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }


COMMAND = (sys.executable, "-c", "from service.cli.main import main; main()")
