"""What machine work below the gate is handed instead of an engine: a way to open a transaction."""

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection


class Opener(Protocol):
    """Opens the two kinds of transaction there are; only the gate makes one (access/enforce)."""

    def read(self) -> AbstractContextManager[Connection]:
        """One snapshot, read only; never upgraded to a write."""

    def write(self) -> AbstractContextManager[Connection]:
        """Commits when the block ends, rolls back when it raises. Durable once it has returned."""
