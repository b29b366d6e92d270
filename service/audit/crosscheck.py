"""Steps 5 and 7 of verification: what the database says beside the ledger (audit, section 10).

The tree proves the leaves; this proves that the copies we search by, the queue and the stored
records say the same. A scan, read only; run hourly by the operator or the compliance officer.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select

from service.audit.entry import parse
from service.audit.log import Ledger
from service.audit.tables import ledger_entry, ledger_leaf, ledger_pending
from service.errors import Tampered
from service.records.tables import resource, resource_version
from service.vocabulary import Micros

OVERDUE = 60_000_000
"""Microseconds an entry may wait for the tree before it is a finding."""
AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Finding:
    """`step` as numbered in docs/verify.md; `place` names an entry or a record by its ids."""

    step: int
    place: str
    text: str


def crosscheck(connection: Connection, ledger: Ledger, at: Micros) -> Iterator[Finding]:
    """Everything that disagrees; nothing yielded means that steps 5 and 7 hold."""
    yield from _entries(connection, ledger)
    yield from _queue(connection, at)
    yield from _versions(connection)
    yield from _current(connection)


def _entries(connection: Connection, ledger: Ledger) -> Iterator[Finding]:
    rows = connection.execute(select(ledger_entry)).yield_per(AT_ONCE)
    for row in rows:
        place = f"entry {row.id}"
        if ledger.mac(row.leaf) != row.mac:
            yield Finding(5, place, "was not written by this service, or was altered")
            continue
        try:
            entry, position = parse(row.leaf)
        except Tampered:
            yield Finding(5, place, "is not canonical")
            continue
        copies = (row.id, row.recorded, row.patient, row.agent, row.action, row.kind, row.outcome)
        truth = (entry.id, entry.at, entry.patient, entry.agent, str(entry.action),
                 str(entry.kind), int(entry.outcome))  # fmt: skip
        if copies != truth or (position and (row.stream, row.n) != (position.stream, position.n)):
            yield Finding(5, place, "has columns that differ from its leaf")


def _queue(connection: Connection, at: Micros) -> Iterator[Finding]:
    waiting = select(ledger_pending.c.id, ledger_pending.c.bad, ledger_entry.c.recorded).outerjoin(
        ledger_entry, ledger_entry.c.id == ledger_pending.c.id
    )
    for row in connection.execute(waiting):
        if row.bad or row.recorded is None:
            yield Finding(5, f"entry {row.id}", "was refused by the sequencer")
        elif row.recorded < at - OVERDUE:
            yield Finding(5, f"entry {row.id}", "waits for the tree for over a minute")
    lost = (
        select(ledger_entry.c.id)
        .outerjoin(ledger_leaf, ledger_leaf.c.entry == ledger_entry.c.id)
        .outerjoin(ledger_pending, ledger_pending.c.id == ledger_entry.c.id)
        .where(ledger_leaf.c.entry.is_(None), ledger_pending.c.id.is_(None))
    )
    for row in connection.execute(lost):
        yield Finding(5, f"entry {row.id}", "is neither in the tree nor waiting for it")


def _versions(connection: Connection) -> Iterator[Finding]:
    """Each stored version against the digest that its entry holds."""
    v = resource_version.c
    rows = connection.execute(
        select(v.type, v.id, v.version, v.body, v.entry, ledger_entry.c.leaf).outerjoin(
            ledger_entry, ledger_entry.c.id == v.entry
        )
    ).yield_per(AT_ONCE)
    for row in rows:
        place = f"{row.type}/{row.id}/_history/{row.version}"
        if row.leaf is None:
            yield Finding(7, place, "has no ledger entry")
            continue
        digest = hashlib.sha256(row.body).digest()
        try:
            entry, _ = parse(row.leaf)
        except Tampered:
            continue  # told as step 5
        named = {(each.type, each.id, each.version): each.digest for each in entry.touched}
        if named.get((row.type, row.id, row.version)) != digest:
            yield Finding(7, place, "is not what its ledger entry says was stored")


def _current(connection: Connection) -> Iterator[Finding]:
    """The current row is the newest version: a rolled-back record shows here."""
    r, v = resource.c, resource_version.c
    newest = (
        select(v.patient, v.type, v.id, func.max(v.version).label("version"))
        .group_by(v.patient, v.type, v.id)
        .subquery()
    )
    differing = (
        select(r.type, r.id)
        .outerjoin(
            newest,
            and_(newest.c.patient == r.patient, newest.c.type == r.type, newest.c.id == r.id),
        )
        .where((newest.c.version.is_(None)) | (newest.c.version != r.version))
    )
    for row in connection.execute(differing):
        yield Finding(7, f"{row.type}/{row.id}", "stands at another version than its newest")
