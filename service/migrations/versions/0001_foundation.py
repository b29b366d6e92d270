"""The first schema, frozen: every table, index and trigger as deploy/freeze wrote it.

Later changes are migrations of their own. A test compares this with what the rooms declare.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CLOCK = {
    "postgresql": "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
    "sqlite": "(CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER))",
}
APPEND_ONLY = {
    "postgresql": (
        """CREATE OR REPLACE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'append-only'; END $$""",
        """CREATE TRIGGER ledger_entry_rows BEFORE UPDATE OR DELETE ON ledger_entry
           FOR EACH ROW EXECUTE FUNCTION ledger_append_only()""",
        """CREATE TRIGGER ledger_entry_table BEFORE TRUNCATE ON ledger_entry
           FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only()""",
    ),
    "sqlite": (
        """CREATE TRIGGER ledger_entry_update BEFORE UPDATE ON ledger_entry
           BEGIN SELECT RAISE(ABORT, 'append-only'); END""",
        """CREATE TRIGGER ledger_entry_delete BEFORE DELETE ON ledger_entry
           BEGIN SELECT RAISE(ABORT, 'append-only'); END""",
    ),
}


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    op.create_table(
        "break_glass",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("principal", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_break_glass")),
    )
    op.create_index(
        "ix_break_glass_who", "break_glass", ["principal", "patient", "lo"], unique=False
    )
    op.create_table(
        "care_edge",
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("practitioner", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Uuid(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint(
            "patient", "practitioner", "lo", "source", name=op.f("pk_care_edge")
        ),
    )
    op.create_index(
        "ix_care_edge_practitioner", "care_edge", ["practitioner", "patient"], unique=False
    )
    op.create_index("ix_care_edge_source", "care_edge", ["source"], unique=False)
    op.create_table(
        "change_base",
        sa.Column("one", sa.SmallInteger(), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_change_base")),
    )
    op.create_table(
        "consent_epoch",
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient", name=op.f("pk_consent_epoch")),
    )
    op.create_table(
        "consent_rule",
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("consent", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("effect", sa.String(length=6), nullable=False),
        sa.Column("nested", sa.Boolean(), nullable=False),
        sa.Column("recipient", sa.String(length=80), nullable=False),
        sa.Column("purpose", sa.String(length=12), nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
        sa.Column("conf", sa.SmallInteger(), nullable=False),
        sa.Column("families", sa.Integer(), nullable=False),
        sa.Column("data_lo", sa.BigInteger(), nullable=False),
        sa.Column("data_hi", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("target", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("target_kind", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("patient", "consent", "number", name=op.f("pk_consent_rule")),
    )
    op.create_table(
        "installation",
        sa.Column("one", sa.SmallInteger(), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("origin", sa.String(length=200), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("one", name=op.f("pk_installation")),
    )
    op.create_table(
        "ix_date",
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("param", sa.String(length=32), nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint(
            "patient", "type", "param", "lo", "hi", "id", name=op.f("pk_ix_date")
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_date_owner", "ix_date", ["patient", "id"], unique=False)
    op.create_table(
        "ix_identifier",
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint("type", "digest", "id", name=op.f("pk_ix_identifier")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_identifier_owner", "ix_identifier", ["patient", "id"], unique=False)
    op.create_table(
        "ix_reference",
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("param", sa.String(length=32), nullable=False),
        sa.Column("target_type", sa.String(length=32), nullable=False),
        sa.Column("target_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint(
            "patient",
            "type",
            "param",
            "target_type",
            "target_id",
            "id",
            name=op.f("pk_ix_reference"),
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_reference_owner", "ix_reference", ["patient", "id"], unique=False)
    op.create_index(
        "ix_reference_target",
        "ix_reference",
        ["target_type", "target_id", "type", "param", "id"],
        unique=False,
    )
    op.create_table(
        "ix_token",
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("param", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.PrimaryKeyConstraint("patient", "type", "param", "hash", "id", name=op.f("pk_ix_token")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_token_across", "ix_token", ["type", "param", "hash", "id"], unique=False)
    op.create_index("ix_token_owner", "ix_token", ["patient", "id"], unique=False)
    op.create_table(
        "job",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=6), nullable=False),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("error", sa.String(length=80), nullable=False),
        sa.Column("dedupe", sa.String(length=100), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index(
        "ix_job_due",
        "job",
        ["run_at", "id"],
        unique=False,
        postgresql_where=sa.text("state IN ('ready', 'leased')"),
        sqlite_where=sa.text("state IN ('ready', 'leased')"),
    )
    op.create_index(
        "uq_job_dedupe",
        "job",
        ["kind", "dedupe"],
        unique=True,
        postgresql_where=sa.text("state IN ('ready', 'leased')"),
        sqlite_where=sa.text("state IN ('ready', 'leased')"),
    )
    op.create_table(
        "key_kek",
        sa.Column("tenant", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kek", sa.Integer(), nullable=False),
        sa.Column("root", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("canary", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "kek", name=op.f("pk_key_kek")),
    )
    op.create_table(
        "key_root",
        sa.Column("root", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("root", name=op.f("pk_key_root")),
    )
    op.create_table(
        "key_wrapped",
        sa.Column("owner", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("use", sa.String(length=16), nullable=False),
        sa.Column("key_no", sa.Integer(), nullable=False),
        sa.Column("tenant", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kek", sa.Integer(), nullable=False),
        sa.Column("alg", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint(
            "state <> 'erased' OR wrapped IS NULL", name=op.f("ck_key_wrapped_erased")
        ),
        sa.CheckConstraint("key_no > 0", name=op.f("ck_key_wrapped_key_no")),
        sa.PrimaryKeyConstraint("owner", "use", "key_no", name=op.f("pk_key_wrapped")),
    )
    op.create_index("ix_key_wrapped_kek", "key_wrapped", ["tenant", "kek", "owner"], unique=False)
    op.create_table(
        "ledger_checkpoint",
        sa.Column("log", sa.SmallInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("log", "size", name=op.f("pk_ledger_checkpoint")),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("log", sa.SmallInteger(), nullable=False),
        sa.Column("stream", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("n", sa.BigInteger(), nullable=True),
        sa.Column("db_at", sa.BigInteger(), server_default=sa.text(CLOCK[dialect]), nullable=False),
        sa.Column("recorded", sa.BigInteger(), nullable=False),
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("agent", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=24), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("(stream IS NULL) = (n IS NULL)", name=op.f("ck_ledger_entry_position")),
        sa.CheckConstraint("length(leaf) BETWEEN 2 AND 65535", name=op.f("ck_ledger_entry_leaf")),
        sa.CheckConstraint("length(mac) = 32", name=op.f("ck_ledger_entry_mac")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entry")),
    )
    op.create_index(
        "ix_ledger_entry_agent", "ledger_entry", ["agent", "recorded", "id"], unique=False
    )
    op.create_index(
        "ix_ledger_entry_patient", "ledger_entry", ["patient", "recorded", "id"], unique=False
    )
    op.create_index("ix_ledger_entry_recorded", "ledger_entry", ["recorded", "id"], unique=False)
    op.create_table(
        "ledger_leaf",
        sa.Column("log", sa.SmallInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("entry", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("log", "seq", name=op.f("pk_ledger_leaf")),
        sa.UniqueConstraint("entry", name=op.f("uq_ledger_leaf_entry")),
    )
    op.create_table(
        "ledger_log",
        sa.Column("log", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("tenant", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("origin", sa.String(length=200), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("min_index", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=6), nullable=False),
        sa.CheckConstraint(
            "state IN ('open', 'frozen', 'closed')", name=op.f("ck_ledger_log_state")
        ),
        sa.PrimaryKeyConstraint("log", name=op.f("pk_ledger_log")),
        sa.UniqueConstraint("origin", name=op.f("uq_ledger_log_origin")),
    )
    op.create_table(
        "ledger_pending",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("log", sa.SmallInteger(), nullable=False),
        sa.Column("bad", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_pending")),
    )
    op.create_table(
        "ledger_stream",
        sa.Column("stream", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("log", sa.SmallInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("stream", name=op.f("pk_ledger_stream")),
    )
    op.create_table(
        "ledger_text",
        sa.Column("entry", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("field", sa.String(length=24), nullable=False),
        sa.Column("owner", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry", "field", name=op.f("pk_ledger_text")),
    )
    op.create_table(
        "ledger_tile",
        sa.Column("log", sa.SmallInteger(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("idx", sa.BigInteger(), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("log", "level", "idx", name=op.f("pk_ledger_tile")),
    )
    op.create_table(
        "principal",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("role", sa.String(length=24), nullable=False),
        sa.Column("relation", sa.String(length=8), nullable=False),
        sa.Column("organisation", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("practitioner", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("purposes", sa.String(length=200), nullable=False),
        sa.Column("medical", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principal")),
    )
    op.create_table(
        "resource",
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("conf", sa.SmallInteger(), nullable=False),
        sa.Column("families", sa.Integer(), nullable=False),
        sa.Column("audience", sa.String(length=8), nullable=False),
        sa.Column("author", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("patient", "type", "id", name=op.f("pk_resource")),
    )
    op.create_index("ix_resource_across", "resource", ["type", "lo", "id"], unique=False)
    op.create_index(
        "ix_resource_main_date", "resource", ["patient", "type", "lo", "id"], unique=False
    )
    op.create_index("ix_resource_seq", "resource", ["seq"], unique=False)
    op.create_index("uq_resource_type_id", "resource", ["type", "id"], unique=True)
    op.create_table(
        "resource_version",
        sa.Column("patient", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.String(length=6), nullable=False),
        sa.Column("conf", sa.SmallInteger(), nullable=False),
        sa.Column("families", sa.Integer(), nullable=False),
        sa.Column("audience", sa.String(length=8), nullable=False),
        sa.Column("author", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("entry", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "patient", "type", "id", "version", name=op.f("pk_resource_version")
        ),
    )
    op.create_table(
        "revoked_token",
        sa.Column("token", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_revoked_token")),
    )
    op.create_index("ix_revoked_token_until", "revoked_token", ["until"], unique=False)
    op.create_table(
        "seen_assertion",
        sa.Column("issuer", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("token", sa.LargeBinary(length=32), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "token", name=op.f("pk_seen_assertion")),
    )
    op.create_index("ix_seen_assertion_until", "seen_assertion", ["until"], unique=False)
    op.create_table(
        "supervision",
        sa.Column("supervisor", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("peer", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("supervisor", "peer", "lo", name=op.f("pk_supervision")),
    )
    op.create_table(
        "sync_operation",
        sa.Column("op_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("principal", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("device", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("op_id", name=op.f("pk_sync_operation")),
    )
    op.create_index(
        "ix_sync_operation_device", "sync_operation", ["device", "number"], unique=False
    )
    op.create_index(
        "ix_sync_operation_quarantined",
        "sync_operation",
        ["received"],
        unique=False,
        sqlite_where=sa.text("status = 'quarantined'"),
        postgresql_where=sa.text("status = 'quarantined'"),
    )
    op.create_table(
        "token_key",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kid", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_token_key")),
        sa.UniqueConstraint("kid", name=op.f("uq_token_key_kid")),
    )
    op.create_table(
        "account",
        sa.Column("principal", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("login", sa.LargeBinary(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["principal"], ["principal.id"], name=op.f("fk_account_principal")),
        sa.PrimaryKeyConstraint("principal", name=op.f("pk_account")),
        sa.UniqueConstraint("login", name=op.f("uq_account_login")),
    )
    op.create_table(
        "client",
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("principal", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("method", sa.String(length=24), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("scope", sa.String(length=2000), nullable=False),
        sa.ForeignKeyConstraint(["principal"], ["principal.id"], name=op.f("fk_client_principal")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client")),
        sa.UniqueConstraint("principal", name=op.f("uq_client_principal")),
    )
    op.create_table(
        "refresh_token",
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("family", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("principal", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client", sa.String(length=36), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["principal"], ["principal.id"], name=op.f("fk_refresh_token_principal")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_refresh_token")),
    )
    op.create_index("ix_refresh_token_principal", "refresh_token", ["principal"], unique=False)
    op.create_index("ix_refresh_token_until", "refresh_token", ["until"], unique=False)
    for statement in APPEND_ONLY[dialect]:
        op.execute(statement)
