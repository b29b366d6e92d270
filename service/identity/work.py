"""What this door is handed by the gate: a unit of work that ends in one ledger entry.

A refusal must be able to keep what it learned (a failed attempt, an assertion seen): the block
calls `refuse` and returns, its writes commit with an entry that says refused, and the door answers
after it. Raising inside the block rolls everything back but the entry.
"""

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection

from service.vocabulary import Action, Micros


class Work(Protocol):
    """One act of signing in, issuing or revoking, inside a write transaction."""

    @property
    def connection(self) -> Connection: ...

    @property
    def at(self) -> Micros: ...

    def refuse(self, reason: str, /) -> None:
        """Let the entry say refused, and why; what the block wrote is kept."""


class Gate(Protocol):
    """Opens units of work (access/enforce.py)."""

    def work(
        self, action: Action, *, agent: str = "", client: str = ""
    ) -> AbstractContextManager[Work]: ...
