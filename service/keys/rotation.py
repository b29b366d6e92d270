"""Rotation: a new root key and key-encryption key; every wrapped key moves, no record does.

Run it again after a crash, at any point: it finishes what was begun before it begins anything.
Running processes need no restart: they read the new key-encryption key when a row names it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import (
    Connection,
    bindparam,
    exists,
    func,
    select,
    tuple_,
    update,
)

from service.database.opener import Opener
from service.errors import Conflict, KeysRefused, SealBroken
from service.keys.custody import Custody, KeyRow, kek_row
from service.keys.founding import first_to_name, tenant_of
from service.keys.provider import LocalRoot
from service.keys.tables import key_kek, key_root, key_wrapped
from service.vocabulary import Micros

BATCH = 2000

_PLACE = tuple_(key_wrapped.c.owner, key_wrapped.c.use, key_wrapped.c.key_no)
_OLD = (
    select(key_wrapped)
    .where(
        key_wrapped.c.tenant == bindparam("t"),
        key_wrapped.c.kek == bindparam("k"),
        key_wrapped.c.wrapped.is_not(None),
    )
    .order_by(key_wrapped.c.owner, key_wrapped.c.use, key_wrapped.c.key_no)
    .limit(bindparam("batch"))
)
_LAST = tuple_(
    bindparam("o", type_=key_wrapped.c.owner.type),
    bindparam("u", type_=key_wrapped.c.use.type),
    bindparam("n", type_=key_wrapped.c.key_no.type),
)
_NEXT = _OLD.where(_LAST < _PLACE)
_SWAP = (
    update(key_wrapped)
    .where(
        key_wrapped.c.owner == bindparam("o"),
        key_wrapped.c.use == bindparam("u"),
        key_wrapped.c.key_no == bindparam("n"),
        key_wrapped.c.kek == bindparam("old"),
        key_wrapped.c.wrapped.is_not(None),  # erased since we read it: never bring it back
    )
    .values(kek=bindparam("new"), wrapped=bindparam("moved"))
)
_IN_USE = exists().where(
    key_wrapped.c.tenant == key_kek.c.tenant,
    key_wrapped.c.kek == key_kek.c.kek,
    key_wrapped.c.wrapped.is_not(None),
)


@dataclass(frozen=True, slots=True)
class Rotation:
    """What a run did. `broken` keys do not open: their KEK stays until they are looked into."""

    kek: int
    begun: bool
    moved: int
    broken: int


def rotate(opener: Opener, path: Path, *, at: Micros, batch: int = BATCH) -> Rotation:
    """Finish an unfinished rotation, or else do a whole one."""
    with opener.read() as connection:
        unfinished = bool(_keks(connection, "retiring"))
    if unfinished:
        done = rewrap(opener, path, batch=batch)
        if done.moved:
            return done
    _begin(opener, path, at)
    return replace(rewrap(opener, path, batch=batch), begun=True)


def rewrap(opener: Opener, path: Path, *, batch: int = BATCH) -> Rotation:
    """Move every key under the active KEK, `batch` to a commit, then retire what is left behind."""
    custody = Custody(path, LocalRoot.load(path))
    with opener.read() as connection:
        if tenant_of(connection) != custody.tenant:
            raise KeysRefused(f"The keyring {path} belongs to another database.")
        custody.prove(connection)
        new, old = max(_keks(connection, "active")), _keks(connection, "retiring")
    moved = broken = 0
    for kek in old:
        last: KeyRow | None = None
        while True:
            # Each batch is durable when its block ends; killed in it, none of it happened.
            with opener.write() as connection:
                rows = _batch(connection, custody, kek, last, batch)
                better, worse = _move(connection, custody, rows, new)
            moved, broken = moved + better, broken + worse
            if len(rows) < batch:
                break
            last = rows[-1]
    with opener.write() as connection:
        _retire(connection)
    return Rotation(new, begun=False, moved=moved, broken=broken)


def destroy(opener: Opener, path: Path, root: int) -> None:
    """Destroy a retired root key: what older backups of the key tables hold is dead from here on.

    Refused while any key still hangs on it. Take and test a backup of the key tables first.
    """
    with opener.write() as connection:
        hanging = select(key_kek.c.kek).where(
            key_kek.c.root == root, key_kek.c.state.in_(("active", "retiring")) | _IN_USE
        )
        known = select(key_root.c.root).where(key_root.c.root == root)
        if connection.execute(known).first() is None or connection.execute(hanging).first():
            raise Conflict(f"Root key {root} is unknown or still in use: rotate first.")
        # 1. The database stops asking for it: a start between 1 and 2 does not miss it.
        gone = {"state": "destroyed"}
        connection.execute(
            update(key_kek).where(key_kek.c.root == root).values(wrapped=b"", canary=b"", **gone)
        )
        connection.execute(update(key_root).where(key_root.c.root == root).values(gone))
    # 2. Killed before this, run again: the same call finishes.
    LocalRoot.remove(path, root)


def _begin(opener: Opener, path: Path, at: Micros) -> None:
    with opener.read() as connection:
        above = connection.execute(select(func.max(key_root.c.root))).scalar()
    if above is None:
        raise KeysRefused("This database has no keys yet: there is nothing to rotate.")
    # 1. The new root key is in the file and on disk. Killed here, the next run uses it.
    root = LocalRoot.add(path, at, above=above)
    number = above + 1
    with opener.write() as connection:
        # 2. One commit: the new KEK is active, the old ones retiring. Makers of new keys hold
        #    their KEK's row until they commit; we wait for them here, so `rewrap` misses none.
        if not first_to_name(connection, root, number):
            return  # another run began the same rotation; help it to the end
        retiring = {"state": "retiring"}
        connection.execute(update(key_kek).where(key_kek.c.state == "active").values(retiring))
        connection.execute(
            update(key_root)
            .where(key_root.c.state == "active", key_root.c.root != number)
            .values(retiring)
        )
        newest = connection.execute(select(func.max(key_kek.c.kek))).scalar_one()
        connection.execute(key_kek.insert(), kek_row(root, number, newest + 1))


def _keks(connection: Connection, state: str) -> list[int]:
    found = select(key_kek.c.kek).where(key_kek.c.state == state).order_by(key_kek.c.kek)
    return list(connection.execute(found).scalars())


def _batch(
    connection: Connection, custody: Custody, kek: int, last: KeyRow | None, batch: int
) -> list[KeyRow]:
    place = {"t": custody.tenant, "k": kek, "batch": batch}
    if last is None:
        return list(connection.execute(_OLD, place).all())
    after = {"o": last.owner, "u": last.use, "n": last.key_no}
    return list(connection.execute(_NEXT, place | after).all())


def _move(
    connection: Connection, custody: Custody, rows: list[KeyRow], new: int
) -> tuple[int, int]:
    """How many of the rows moved, and how many did not open. One bad row stops no other."""
    moved: list[dict[str, object]] = []
    for row in rows:
        try:
            wrapped = custody.rewrapped(connection, row, new)
        except SealBroken:
            continue
        moved.append(
            {"o": row.owner, "u": row.use, "n": row.key_no, "old": row.kek, "new": new,
             "moved": wrapped}
        )  # fmt: skip
    if moved:
        connection.execute(_SWAP, moved)
    return len(moved), len(rows) - len(moved)


def _retire(connection: Connection) -> None:
    """What nothing refers to any more seals and opens nothing but old backups."""
    retired = {"state": "retired"}
    connection.execute(
        update(key_kek).where(key_kek.c.state == "retiring", ~_IN_USE).values(retired)
    )
    living = exists().where(
        key_kek.c.root == key_root.c.root, key_kek.c.state.in_(("active", "retiring"))
    )
    connection.execute(
        update(key_root).where(key_root.c.state == "retiring", ~living).values(retired)
    )
