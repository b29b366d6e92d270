"""Whether the current request's ledger entry is durable: what the send guard asks (audit, §2).

The guard (web.py) makes a Receipt before the request runs; the gate marks it after the entry has
been committed. A thread of the pool inherits the context, and with it the same object.
"""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Receipt:
    """`durable`: an entry of this request was committed. `refused`: it carries no record."""

    durable: bool = False
    refused: bool = False


current: ContextVar[Receipt | None] = ContextVar("receipt", default=None)


def mark_durable() -> None:
    receipt = current.get()
    if receipt is not None:
        receipt.durable = True


def mark_refused() -> None:
    receipt = current.get()
    if receipt is not None:
        receipt.refused = True
