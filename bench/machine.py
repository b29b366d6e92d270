"""The machine that measures: what it is, how busy it is, what processor time each part has used."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc: whose child it is, and the seconds that it (and its dead) have used."""

    pid: int
    parent: int
    own: float
    dead: float


def tree_seconds(root: int) -> float:
    """Processor seconds of a process, its living descendants, and its children that have ended."""
    table = _table()
    members = {root}
    while grown := {p.pid for p in table if p.parent in members} - members:
        members |= grown
    return sum(p.own + p.dead for p in table if p.pid in members)


def _table() -> list[Process]:
    return [found for path in PROC.iterdir() if path.name.isdigit() and (found := _read(path))]


def _read(path: Path) -> Process | None:
    try:
        text = (path / "stat").read_text()
    except OSError:  # it has just ended
        return None
    fields = text[text.rindex(")") + 2 :].split()
    user, system, dead_user, dead_system = (int(field) / TICK for field in fields[11:15])
    return Process(int(path.name), int(fields[1]), user + system, dead_user + dead_system)


def parent_of(pid: int, name: str) -> int:
    """The parent of a process that is called `name` here; 0 if there is no such process."""
    found = _read(PROC / str(pid))
    called = (PROC / str(pid) / "comm").read_text() if found else ""
    return found.parent if found and called.startswith(name) else 0


def described() -> str:
    """Processor, cores, memory, system and Python, in a line."""
    info = (PROC / "cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in info if "model name" in line), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{len(os.sched_getaffinity(0))} cores ({model}), {memory:.0f} GiB of memory,"
        f" {platform.system()} {platform.release().split('-')[0]}, Python"
        f" {platform.python_version()}"
    )


def load() -> float:
    """How many processes wanted a core, on average over the last minute."""
    return os.getloadavg()[0]
