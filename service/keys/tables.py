"""Tables of the key hierarchy: root -> key-encryption key per tenant and epoch -> wrapped key.

They get a short-lived backup of their own: old record backups are restored beside *current* key
tables, or an erased participant would come back (audit reference, section 12).
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
)

from service.database.metadata import GUID, metadata

key_root = Table(
    "key_root",
    metadata,
    Column("root", Integer, primary_key=True, autoincrement=False),
    Column("provider", String(16), nullable=False),
    Column("ref", String(200), nullable=False),  # names the key to its provider; no secret
    Column("state", String(16), nullable=False),
)
key_kek = Table(
    "key_kek",
    metadata,
    Column("tenant", GUID, nullable=False),
    Column("kek", Integer, nullable=False),
    Column("root", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("canary", LargeBinary, nullable=False),  # a constant, sealed: proves the key at boot
    PrimaryKeyConstraint("tenant", "kek"),
)
key_wrapped = Table(
    "key_wrapped",
    metadata,
    Column("owner", GUID, nullable=False),  # the participant, or the tenant for the house's own
    Column("use", String(16), nullable=False),
    Column("key_no", Integer, nullable=False),
    Column("tenant", GUID, nullable=False),
    Column("kek", Integer, nullable=False),
    Column("alg", SmallInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("wrapped", LargeBinary, nullable=True),  # NULL: erased, and never again
    PrimaryKeyConstraint("owner", "use", "key_no"),
    CheckConstraint("key_no > 0", name="key_no"),
    CheckConstraint("state <> 'erased' OR wrapped IS NULL", name="erased"),
)
Index("ix_key_wrapped_kek", key_wrapped.c.tenant, key_wrapped.c.kek, key_wrapped.c.owner)
