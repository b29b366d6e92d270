"""Tables of the sealed store. Every patient table leads its keys with the patient (design D6).

Outside the seal stands only what the database must compare (design D2): random ids, half-open
microsecond intervals, label bits, keyed hashes. `resource` is the current state and the anchor of
every search; `resource_version` holds every body ever stored and is never updated.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
)

from service.database.metadata import DIGEST, GUID, MICROS, SEALED, metadata

TYPE = String(32)

resource = Table(
    "resource",
    metadata,
    Column("patient", GUID, nullable=False),
    Column("type", TYPE, nullable=False),
    Column("id", GUID, nullable=False),
    Column("version", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),  # commit order, see records/changes.py
    Column("lo", MICROS, nullable=False),  # the type's main date, [lo, hi)
    Column("hi", MICROS, nullable=False),
    Column("updated", MICROS, nullable=False),
    Column("conf", SmallInteger, nullable=False),  # Confidentiality
    Column("families", Integer, nullable=False),  # Family bits
    Column("audience", String(8), nullable=False),  # Audience
    Column("author", GUID, nullable=True),  # Practitioner or Patient who wrote it
    Column("deleted", Boolean, nullable=False),
    PrimaryKeyConstraint("patient", "type", "id"),
)
Index("uq_resource_type_id", resource.c.type, resource.c.id, unique=True)
Index("ix_resource_main_date", resource.c.patient, resource.c.type, resource.c.lo, resource.c.id)
Index("ix_resource_across", resource.c.type, resource.c.lo, resource.c.id)
Index("ix_resource_seq", resource.c.seq)

resource_version = Table(
    "resource_version",
    metadata,
    Column("patient", GUID, nullable=False),
    Column("type", TYPE, nullable=False),
    Column("id", GUID, nullable=False),
    Column("version", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("updated", MICROS, nullable=False),
    Column("method", String(6), nullable=False),  # POST, PUT, DELETE
    Column("conf", SmallInteger, nullable=False),
    Column("families", Integer, nullable=False),
    Column("audience", String(8), nullable=False),
    Column("author", GUID, nullable=True),
    Column("entry", GUID, nullable=False),  # its ledger entry, written in the same commit
    Column("body", SEALED, nullable=False),
    PrimaryKeyConstraint("patient", "type", "id", "version"),
)

# Search: one row per value. `hash` is the first 64 bits of a keyed hash (keys/blind.py).
ix_token = Table(
    "ix_token",
    metadata,
    Column("patient", GUID, nullable=False),
    Column("type", TYPE, nullable=False),
    Column("param", String(32), nullable=False),
    Column("hash", BigInteger, nullable=False),
    Column("id", GUID, nullable=False),
    PrimaryKeyConstraint("patient", "type", "param", "hash", "id"),
    sqlite_with_rowid=False,
)
Index("ix_token_across", ix_token.c.type, ix_token.c.param, ix_token.c.hash, ix_token.c.id)
Index("ix_token_owner", ix_token.c.patient, ix_token.c.id)
ix_reference = Table(
    "ix_reference",
    metadata,
    Column("patient", GUID, nullable=False),
    Column("type", TYPE, nullable=False),
    Column("param", String(32), nullable=False),
    Column("target_type", TYPE, nullable=False),
    Column("target_id", GUID, nullable=False),
    Column("id", GUID, nullable=False),
    PrimaryKeyConstraint("patient", "type", "param", "target_type", "target_id", "id"),
    sqlite_with_rowid=False,
)
Index("ix_reference_target", ix_reference.c.target_type, ix_reference.c.target_id,
      ix_reference.c.type, ix_reference.c.param, ix_reference.c.id)  # fmt: skip
Index("ix_reference_owner", ix_reference.c.patient, ix_reference.c.id)
ix_date = Table(
    "ix_date",
    metadata,
    Column("patient", GUID, nullable=False),
    Column("type", TYPE, nullable=False),
    Column("param", String(32), nullable=False),
    Column("lo", MICROS, nullable=False),
    Column("hi", MICROS, nullable=False),
    Column("id", GUID, nullable=False),
    PrimaryKeyConstraint("patient", "type", "param", "lo", "hi", "id"),
    sqlite_with_rowid=False,
)
Index("ix_date_owner", ix_date.c.patient, ix_date.c.id)
ix_identifier = Table(
    "ix_identifier",
    metadata,
    Column("type", TYPE, nullable=False),
    Column("digest", DIGEST, nullable=False),  # full-length keyed hash of lp(system, value)
    Column("patient", GUID, nullable=False),
    Column("id", GUID, nullable=False),
    PrimaryKeyConstraint("type", "digest", "id"),
    sqlite_with_rowid=False,
)
Index("ix_identifier_owner", ix_identifier.c.patient, ix_identifier.c.id)

# Who may see whom. Compiled when CareTeam, Consent and break-glass are written.
care_edge = Table(
    "care_edge",
    metadata,
    Column("patient", GUID, nullable=False),
    Column("practitioner", GUID, nullable=False),
    Column("lo", MICROS, nullable=False),
    Column("hi", MICROS, nullable=False),
    Column("source", GUID, nullable=False),  # the CareTeam
    PrimaryKeyConstraint("patient", "practitioner", "lo", "source"),
)
Index("ix_care_edge_practitioner", care_edge.c.practitioner, care_edge.c.patient)
Index("ix_care_edge_source", care_edge.c.source)
supervision = Table(
    "supervision",
    metadata,
    Column("supervisor", GUID, nullable=False),
    Column("peer", GUID, nullable=False),
    Column("lo", MICROS, nullable=False),
    Column("hi", MICROS, nullable=False),
    PrimaryKeyConstraint("supervisor", "peer", "lo"),
)
break_glass = Table(
    "break_glass",
    metadata,
    Column("id", GUID, primary_key=True),
    Column("patient", GUID, nullable=False),
    Column("principal", GUID, nullable=False),
    Column("lo", MICROS, nullable=False),
    Column("hi", MICROS, nullable=False),
    Column("sealed", SEALED, nullable=False),  # reason, facility: the 2.51(c) record
)
Index("ix_break_glass_who", break_glass.c.principal, break_glass.c.patient, break_glass.c.lo)
consent_rule = Table(
    "consent_rule",
    metadata,
    Column("patient", GUID, nullable=False),
    Column("consent", GUID, nullable=False),
    Column("number", Integer, nullable=False),
    Column("effect", String(6), nullable=False),  # permit, deny
    Column("nested", Boolean, nullable=False),
    Column(
        "recipient", String(80), nullable=False
    ),  # '*', 'Organization/<id>', 'class:<code>', ...
    Column("purpose", String(12), nullable=False),  # '*' is any but BTG
    Column("lo", MICROS, nullable=False),  # in force [lo, hi)
    Column("hi", MICROS, nullable=False),
    Column("conf", SmallInteger, nullable=False),  # permit: ceiling; deny: floor
    Column("families", Integer, nullable=False),  # permit: cleared bits; deny: hit bits
    Column("data_lo", MICROS, nullable=False),
    Column("data_hi", MICROS, nullable=False),
    Column("type", TYPE, nullable=False),  # '*' or a resource type
    Column("target", GUID, nullable=True),  # the id the row is about
    Column("target_kind", String(8), nullable=False),  # '', instance, related, author
    PrimaryKeyConstraint("patient", "consent", "number"),
)
consent_epoch = Table(
    "consent_epoch",
    metadata,
    Column("patient", GUID, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)

change_base = Table(
    "change_base",
    metadata,
    Column("one", SmallInteger, primary_key=True),
    Column("base", BigInteger, nullable=False),
)

sync_operation = Table(
    "sync_operation",
    metadata,
    Column("op_id", GUID, primary_key=True),
    Column("principal", GUID, nullable=False),
    Column("device", GUID, nullable=False),
    Column("number", BigInteger, nullable=False),  # the device's own gapless count
    Column("digest", LargeBinary(32), nullable=False),  # keyed hash of the operation's sha256
    Column("status", String(16), nullable=False),
    Column("received", MICROS, nullable=False),
    Column("result", SEALED, nullable=False),  # the first answer, without text
)
Index("ix_sync_operation_device", sync_operation.c.device, sync_operation.c.number)
Index(
    "ix_sync_operation_quarantined",
    sync_operation.c.received,
    sqlite_where=sync_operation.c.status == "quarantined",
    postgresql_where=sync_operation.c.status == "quarantined",
)
