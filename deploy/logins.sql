-- The two logins of deploy/compose.yaml; run by psql, after roles.sql:
--   psql -v service=PASSWORD -v machines=PASSWORD -f deploy/logins.sql
-- Run again, it sets the passwords anew.

SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['service', 'machines']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE service LOGIN PASSWORD :'service';
ALTER ROLE machines LOGIN PASSWORD :'machines';
GRANT peernotes_app TO service;
GRANT peernotes_sequencer, peernotes_notary TO machines;
