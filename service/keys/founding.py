"""The first start: a root key, a key-encryption key and the house's own keys, on an empty database.

Never over data. A keyring made beside sealed rows could open none of them, and the records sealed
from then on would hide that the old ones are lost.
"""

from pathlib import Path
from uuid import uuid4

from sqlalchemy import Connection, LargeBinary, inspect, literal, select
from sqlalchemy import table as named
from sqlalchemy.dialects import postgresql, sqlite

from service.database.opener import Opener
from service.errors import KeysRefused
from service.keys.custody import Custody, kek_row
from service.keys.provider import LocalRoot
from service.keys.tables import key_kek, key_root
from service.vocabulary import Micros, TenantId

HOUSE = "house"
INDEX = "index"
INGEST = "ingest"
TOKEN = "token"  # noqa: S105 (the name of a use)
HOUSE_USES = (HOUSE, INDEX, INGEST, TOKEN)
"""Keys owned by the tenant: records about no participant, keyed hashes, entry MACs, page tokens."""

_NEW_ROOT = {
    "sqlite": sqlite.insert(key_root).on_conflict_do_nothing().returning(key_root.c.root),
    "postgresql": postgresql.insert(key_root).on_conflict_do_nothing().returning(key_root.c.root),
}


def tenant_of(connection: Connection) -> TenantId | None:
    """Whose keys the database holds; None before the first start."""
    tenants = connection.execute(select(key_kek.c.tenant).distinct().limit(2)).scalars().all()
    if len(tenants) > 1:
        raise KeysRefused("The key tables hold several tenants; this service keeps one each.")
    return TenantId(tenants[0]) if tenants else None


def demand_apart(connection: Connection, path: Path) -> None:
    """A copy of the database directory must not carry the keys that open it."""
    database = connection.engine.url.database
    if connection.dialect.name != "sqlite" or not database or database == ":memory:":
        return
    if path.resolve().is_relative_to(Path(database).resolve().parent):
        raise KeysRefused(
            f"The keyring {path} lies in the database's directory, so a copy of the one would be a"
            " copy of both: keep it elsewhere and set PEERNOTES_KEYRING."
        )


def demand_empty(connection: Connection, besides: str = "") -> None:
    """Any row beside a binary column may be sealed: whatever the table, it forbids a new root."""
    inspector = inspect(connection)
    for name in inspector.get_table_names():
        binary = any(
            isinstance(column["type"], LargeBinary | postgresql.BYTEA)
            for column in inspector.get_columns(name)
        )
        if name == besides or not (binary or name == key_root.name):
            continue
        if connection.execute(select(literal(1)).select_from(named(name)).limit(1)).first():
            raise KeysRefused(
                f"The database already holds rows in {name} but no keys that open them: restore"
                " the key tables from their backup. No key was made, nothing was written."
            )


def first_to_name(connection: Connection, root: LocalRoot, number: int) -> bool:
    """Enter a root key; False if another process just did (on PostgreSQL: once it committed)."""
    row = {"root": number, "provider": "local", "ref": root.reference(number), "state": "active"}
    return connection.execute(_NEW_ROOT[connection.dialect.name], row).first() is not None


def found(opener: Opener, path: Path, at: Micros) -> None:
    """Make what a first start needs. Several processes may run this at once; one wins."""
    # 1. The root key is in the file, and on disk, before anything is wrapped under it. Killed
    #    after this, the next start finds a file beside an empty database and goes on here.
    root = LocalRoot.create(path, TenantId(str(uuid4())), at)
    number = root.newest
    with opener.write() as connection:
        # 2. Whoever inserts the root row goes on; the others wait here for that commit.
        if not first_to_name(connection, root, number):
            return
        demand_empty(connection, besides=key_root.name)
        connection.execute(key_kek.insert(), kek_row(root, number, 1))
        custody = Custody(path, root)
        for use in HOUSE_USES:
            custody.make(connection, root.tenant, use)
    # 3. All of it is durable, or none.
