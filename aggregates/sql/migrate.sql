-- A migration: one at a time, the numbered files that are new, then the registries, which the views join.

-- name: limit_lock_wait
-- Whoever waits for a lock lets nobody past: a migration gives up after two seconds, and those behind it go on.
SET LOCAL lock_timeout = '2s'

-- name: list_migrations
-- The numbered files that this database has.
SELECT name FROM migration

-- name: note_migration
-- This database has a numbered file from now on.
INSERT INTO migration (name) VALUES (%(name)s)

-- name: read_edition
-- The major version of the server, and version and licence of TimescaleDB, null where this database does not have it.
SELECT current_setting('server_version_num')::integer / 10000, extversion,
       CASE WHEN extversion IS NOT NULL THEN current_setting('timescaledb.license', true) END
FROM (VALUES (1)) one LEFT JOIN pg_extension ON extname = 'timescaledb'

-- name: may_migrate
-- Whether this role may change the schema, and whether there is one.
SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), to_regclass('migration') IS NOT NULL

-- name: upsert_quantity
-- A quantity as `ingest.vocabulary.quantities` defines it.
INSERT INTO quantity (quantity, unit, aggregation, zone, coverage, memory, hours, agree, channels, term)
VALUES (%(name)s, %(unit)s, %(aggregation)s, %(zone)s, %(coverage)s, %(memory)s, %(hours)s, %(agree)s, %(channels)s,
        %(term)s)
ON CONFLICT (quantity) DO UPDATE SET unit = excluded.unit, aggregation = excluded.aggregation, zone = excluded.zone,
    coverage = excluded.coverage, memory = excluded.memory, hours = excluded.hours, agree = excluded.agree,
    channels = excluded.channels, term = excluded.term

-- name: upsert_source
-- A source as `ingest.vocabulary.sources` defines it.
INSERT INTO source (source, title, class, licence, commercial_use, channels)
VALUES (%(name)s, %(title)s, %(class)s, %(licence)s, %(commercial_use)s, %(combined)s::text[])
ON CONFLICT (source) DO UPDATE SET title = excluded.title, class = excluded.class, licence = excluded.licence,
    commercial_use = excluded.commercial_use, channels = excluded.channels

-- name: leave_out_series
-- Series of channels that the rule of their source leaves out, by now, do not stand for their sensors any longer.
UPDATE series s SET alone = false FROM sensor n JOIN source o USING (source)
WHERE s.sensor_id = n.sensor_id AND s.alone
  AND NOT coalesce(n.channels, o.channels) && ARRAY['lanes', 'separate', s.channel]

-- name: delete_index_bands
-- Delete the bands of all air-quality indices, before they are written again.
DELETE FROM index_band

-- name: insert_index_band
-- A band of an air-quality index as `ingest.vocabulary.air_index` defines it.
INSERT INTO index_band (index, quantity, band, above, upto, plus_one)
VALUES (%(index)s, %(quantity)s, %(band)s, %(above)s, %(upto)s, %(plus_one)s)

-- name: list_views
-- The views that a migration made, each with the digest of its text.
SELECT c.relname, split_part(obj_description(c.oid, 'pg_class'), ' ', 5)
FROM pg_class c WHERE c.relkind = 'v' AND c.relnamespace = current_schema()::regnamespace
                  AND starts_with(obj_description(c.oid, 'pg_class'), 'made by stadspuls of ')

-- name: list_built_on
-- What is built on these views, directly or not, apart from themselves.
WITH RECURSIVE own AS (
    SELECT oid FROM unnest(%(views)s::text[]) view JOIN pg_class ON oid = to_regclass(view)
), built AS (
    SELECT oid FROM own
    UNION
    SELECT r.ev_class FROM built b JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = b.oid
    JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
)
SELECT oid::regclass::text FROM built WHERE oid NOT IN (SELECT oid FROM own) ORDER BY 1

-- name: say_password
-- A password, for the statement after it in this transaction.
SELECT set_config('stadspuls.password', %(password)s, true)

-- name: let_reader_in
-- Let the role that may only read in with the password that was said.
DO $$
BEGIN
    EXECUTE 'ALTER ROLE stadspuls_reader LOGIN PASSWORD ' || quote_literal(current_setting('stadspuls.password'));
END $$
