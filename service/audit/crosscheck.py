"""Compares stored records with the log: step 7 of verifying (audit reference, section 10).

Each version's sealed bytes have the digest that its entry holds, and what stands is the newest
version: a swapped body, an edited one and a rolled-back record show here. A scan, read only.
"""

import hashlib
from collections.abc import Iterator

from sqlalchemy import Connection, and_, func, select

from service.audit.compare import Finding
from service.audit.entry import parse
from service.audit.tables import ledger_entry
from service.errors import Tampered
from service.records.tables import resource, resource_version

AT_ONCE = 2_000


def crosscheck(connection: Connection) -> Iterator[Finding]:
    """Everything that disagrees; nothing yielded means that step 7 holds."""
    yield from _versions(connection)
    yield from _current(connection)


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
            yield Finding(place, "has no ledger entry")
            continue
        digest = hashlib.sha256(row.body).digest()
        try:
            entry, _ = parse(row.leaf)
        except Tampered:
            continue  # told as step 5
        named = {(each.type, each.id, each.version): each.digest for each in entry.touched}
        if named.get((row.type, row.id, row.version)) != digest:
            yield Finding(place, "is not what its ledger entry says was stored")


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
        yield Finding(f"{row.type}/{row.id}", "stands at another version than its newest")
