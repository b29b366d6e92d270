-- Least privilege on PostgreSQL. Run by the owner of the tables, who may create roles, after
-- `peernotes setup` and again after every upgrade:
--
--   psql "$OWNER_URL" -v ON_ERROR_STOP=1 -f deploy/roles.sql
--
-- Three roles without login; each login is a member of what it does:
--   CREATE ROLE service  LOGIN PASSWORD '...' IN ROLE peernotes_app;
--   CREATE ROLE machines LOGIN PASSWORD '...' IN ROLE peernotes_sequencer, peernotes_notary;
--
-- Who writes which table of the ledger:
--   peernotes_app        appends entries and queues them, redacts texts; nothing of the tree
--   peernotes_sequencer  moves entries from the queue into the tree, notes a gap
--   peernotes_notary     publishes checkpoints, freezes a log that it refuses to sign
-- Nobody but the owner alters an entry or a stored version. Triggers stop the owner as well until
-- they are dropped; what is changed then no longer agrees with the notary's memory.

DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['peernotes_app', 'peernotes_sequencer', 'peernotes_notary'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', name);
    END IF;
  END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA public
  FROM PUBLIC, peernotes_app, peernotes_sequencer, peernotes_notary;
GRANT USAGE ON SCHEMA public TO peernotes_app, peernotes_sequencer, peernotes_notary;

-- The service reads all, and writes what it must.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO peernotes_app;
GRANT INSERT ON resource_version, break_glass, sync_operation TO peernotes_app;
GRANT INSERT ON ledger_entry, ledger_pending TO peernotes_app;
GRANT INSERT, DELETE ON ledger_text TO peernotes_app;
GRANT INSERT, UPDATE ON resource, change_base, consent_epoch, key_wrapped TO peernotes_app;
GRANT INSERT, DELETE ON ix_reference, ix_token, ix_date, ix_identifier TO peernotes_app;
GRANT INSERT, DELETE ON care_edge, consent_rule TO peernotes_app;
GRANT INSERT, UPDATE, DELETE ON supervision, job TO peernotes_app;
GRANT INSERT, UPDATE, DELETE ON principal, account, client, token_key TO peernotes_app;
GRANT INSERT, UPDATE, DELETE ON refresh_token, revoked_token, seen_assertion TO peernotes_app;
-- A key is made under a lock on the key above it, and a lock asks for UPDATE on some column.
GRANT UPDATE (tenant) ON key_kek TO peernotes_app;

-- The machines read the ledger, and what proves that the keyring is this database's.
GRANT SELECT ON alembic_version, installation, key_root, key_kek, key_wrapped,
  ledger_log, ledger_entry, ledger_pending, ledger_stream, ledger_leaf, ledger_tile,
  ledger_checkpoint TO peernotes_sequencer, peernotes_notary;

GRANT INSERT ON ledger_entry, ledger_leaf TO peernotes_sequencer;
GRANT UPDATE, DELETE ON ledger_pending TO peernotes_sequencer;
GRANT INSERT, UPDATE, DELETE ON ledger_stream TO peernotes_sequencer;
GRANT INSERT, UPDATE ON ledger_tile TO peernotes_sequencer;
GRANT UPDATE (size, root, frontier) ON ledger_log TO peernotes_sequencer;

GRANT INSERT ON ledger_checkpoint TO peernotes_notary;
GRANT UPDATE (state) ON ledger_log TO peernotes_notary;
