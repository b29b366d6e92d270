"""Downloads the ledger as the compliance officer, and has three standalone files verify it.

The verifier runs as a process of its own in a directory that holds nothing but tree.py,
checkpoint.py and verify.py: what it says does not depend on this service.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from service.audit import checkpoint, tree, verify
from service.audit.memory import verifier_key
from service.audit.tiles import bundle_path, tiles_of
from service.cli.people import Person
from service.settings import Settings

STANDALONE = (tree, checkpoint, verify)


def verify_download(
    officer: Person, entry: str, folder: Path, settings: Settings
) -> tuple[bool, str]:
    """(problem, report). A problem may pass by itself: the newest entries wait for the tree."""
    proof = officer.get(f"/review/entries/{entry}/proof")
    leaf = officer.get(f"/review/entries/{entry}/leaf")
    if proof.status_code != 200 or leaf.status_code != 200:
        return True, "no checkpoint covers the entry"
    log = folder / "log"
    download(officer, log)
    (folder / "policy").write_text(policy(settings))
    (folder / "proof").write_bytes(proof.content)
    (folder / "leaf").write_bytes(leaf.content)
    checks = (
        [str(log), "--policy", str(folder / "policy")],
        ["--proof", str(folder / "proof"), "--leaf", str(folder / "leaf"),
         "--policy", str(folder / "policy")],
    )  # fmt: skip
    told = []
    for arguments in checks:
        done = standalone(folder / "verifier", arguments)
        told.append(done.stdout.strip())
        if done.returncode:
            return True, done.stdout + done.stderr
    return False, "\n   ".join(line for text in told for line in text.splitlines()[:6])


def standalone(folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs verify.py from a directory that holds the three files alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in STANDALONE:
        shutil.copy(str(module.__file__), folder)
    command = [sys.executable, str(folder / "verify.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)  # noqa: S603


def policy(settings: Settings) -> str:
    """Whom to believe: the notary's key. An officer keeps this, and their last checkpoint."""
    return f"log {verifier_key(settings.notary_dir)}\nquorum none\n"


def download(officer: Person, folder: Path) -> None:
    """Checkpoint, hash tiles and entry bundles, laid out as they are served."""
    note = officer.web.get("/ledger/checkpoint")
    note.raise_for_status()
    size = int(note.text.splitlines()[1])
    _keep(folder / "checkpoint", note.content)
    for tile in tiles_of(size):
        _fetch(officer, folder, tile.path)
        if tile.level == 0:
            _fetch(officer, folder, bundle_path(tile.n, tile.width))


def _fetch(officer: Person, folder: Path, path: str) -> None:
    answer = officer.get(f"/ledger/{quote(path)}")
    answer.raise_for_status()
    _keep(folder / path, answer.content)


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
