-- Who may do what, before any table exists. Run by psql in the hub's own database as the superuser, or as the owner of
-- that database who may make roles; may be run again, which is how passwords are changed. Passwords come from the
-- environment, so that no command line shows them.
\set ON_ERROR_STOP on
\getenv owner_password STADSPULS_OWNER_PASSWORD
\getenv writer_password STADSPULS_WRITER_PASSWORD
\getenv reader_password STADSPULS_READER_PASSWORD
BEGIN;
SELECT format('CREATE ROLE %I', role) FROM unnest(ARRAY['stadspuls_owner', 'stadspuls_writer', 'stadspuls_reader']) role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

SELECT current_setting('is_superuser') AS is_superuser,
       current_setting('timescaledb.max_background_workers', true) IS NOT NULL AS has_timescale \gset
-- Only a superuser may always do this; the migration finds it done.
SELECT 'CREATE EXTENSION IF NOT EXISTS timescaledb' WHERE :'has_timescale'::boolean \gexec
\if :is_superuser
SET LOCAL log_statement = 'none';                      -- else the log would show the passwords
SET LOCAL log_min_error_statement = 'panic';
\else
GRANT stadspuls_owner TO CURRENT_USER;                  -- who gives the database to it
\endif
ALTER ROLE stadspuls_owner LOGIN PASSWORD :'owner_password';
ALTER ROLE stadspuls_writer LOGIN PASSWORD :'writer_password';
ALTER ROLE stadspuls_reader LOGIN PASSWORD :'reader_password';

-- Readers: a mistake costs a minute, and writes nothing. (What they may read is granted by every migration.)
ALTER ROLE stadspuls_reader SET statement_timeout = '60s';
ALTER ROLE stadspuls_reader SET default_transaction_read_only = on;
ALTER ROLE stadspuls_reader SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE stadspuls_reader CONNECTION LIMIT 40;
-- Late readings of a compressed day unpack their series, however many rows that are.
SELECT 'ALTER ROLE stadspuls_writer SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0'
WHERE :'is_superuser'::boolean OR :'has_timescale'::boolean \gexec

-- The owner of the database owns its schema public, too (PostgreSQL 15 and later).
SELECT format('ALTER DATABASE %I OWNER TO stadspuls_owner', current_database()) \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database()) \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO stadspuls_reader', current_database()) \gexec
SELECT format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO stadspuls_writer', current_database()) \gexec
COMMIT;
