"""Opened participant keys, kept in the process for at most five minutes.

Two things must not stay here: a key whose transaction may still roll back (the record sealed next
would be under a key that exists nowhere), and a key that was erased. A process that erases a
participant bars them for good; the others forget within one TTL.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple
from weakref import WeakKeyDictionary

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, RootTransaction

TTL = 300.0
BOUND = 20_000
SEALING = 0
"""Stands for "the key that seals now" where a key number would stand; numbers begin at 1."""

Slot = tuple[str, int]
"""Owner and key number."""


class OpenKey(NamedTuple):
    key_no: int
    cipher: AESGCM


class KeyCache:
    """Least recently used goes first. Thread safe; `ticks` counts seconds, whatever the date."""

    def __init__(self, ticks: Callable[[], float], bound: int = BOUND) -> None:
        self._ticks = ticks
        self._bound = bound
        self._lock = threading.Lock()
        self._held: OrderedDict[Slot, tuple[float, OpenKey]] = OrderedDict()
        self._barred: set[str] = set()
        self._unsettled: WeakKeyDictionary[RootTransaction, set[str]] = WeakKeyDictionary()

    def get(self, slot: Slot) -> OpenKey | None:
        with self._lock:
            found = self._held.get(slot)
            if found is None:
                return None
            if found[0] <= self._ticks():
                del self._held[slot]
                return None
            self._held.move_to_end(slot)
            return found[1]

    def put(self, connection: Connection, slot: Slot, key: OpenKey) -> None:
        """Keep what this transaction read, unless it may itself have made or barred it."""
        transaction = connection.get_transaction()
        with self._lock:
            made_here = transaction is None or slot[0] in self._unsettled.get(transaction, ())
            if made_here or slot[0] in self._barred:
                return
            self._held[slot] = (self._ticks() + TTL, key)
            self._held.move_to_end(slot)
            if len(self._held) > self._bound:
                self._held.popitem(last=False)

    def unsettle(self, connection: Connection, owner: str) -> None:
        """Until this transaction has ended, the owner's keys are read anew each time.

        Marked for the outermost transaction: a savepoint may roll the key back and leave us going.
        """
        transaction = connection.get_transaction()
        if transaction is not None:
            with self._lock:
                self._unsettled.setdefault(transaction, set()).add(owner)

    def bar(self, owner: str) -> None:
        """Forget the owner and never keep them again, even if a slow reader comes back late."""
        with self._lock:
            self._barred.add(owner)
            for slot in [slot for slot in self._held if slot[0] == owner]:
                del self._held[slot]
