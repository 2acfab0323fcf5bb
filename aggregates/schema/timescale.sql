-- TimescaleDB, both editions: readings and 5-minute rows in chunks.
SELECT create_hypertable('reading', 'start', chunk_time_interval => %(chunk)s::interval,
                         create_default_indexes => false, if_not_exists => true, migrate_data => true);
SELECT create_hypertable('window_5m', 'start', chunk_time_interval => %(chunk)s::interval,
                         create_default_indexes => false, if_not_exists => true, migrate_data => true);
-- Of tables that are there already the setting applies to the chunks that are made from now on.
SELECT set_chunk_time_interval('reading', %(chunk)s::interval), set_chunk_time_interval('window_5m', %(chunk)s::interval);
-- Live 5-minute rows change every minute: see postgres.sql. A chunk takes the setting when it is made.
ALTER TABLE window_5m SET (fillfactor = 45);
CREATE INDEX IF NOT EXISTS window_1h_computed_at ON window_1h USING brin (computed_at) WITH (autosummarize = on);
-- The comment of a chunk that is not packed because it would grow. It is counted again where its size is another.
CREATE OR REPLACE FUNCTION too_sparse(chunk regclass) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT format('too sparse to be packed, at %%s bytes', pg_relation_size(chunk)) $$;
-- Pack the chunks that are older than the configuration says of their table, and again what late data unpacked. Packed, a
-- series takes some 700 bytes, its rows next to nothing, so a chunk with few rows of a series would grow: it stays as it is,
-- and is unpacked where it grew. How many series there are is counted: the planner's n_distinct is far too small where few
-- series have most of the rows.
CREATE OR REPLACE PROCEDURE pack_chunks(job integer, config jsonb) LANGUAGE plpgsql AS $$
DECLARE
    chunk  record;
    grown  regclass[];
    dense  boolean;
    failed text;
BEGIN
    grown := ARRAY(SELECT format('%%I.%%I', chunk_schema, chunk_name)::regclass
                   FROM jsonb_object_keys(config -> 'after') hypertable
                   CROSS JOIN LATERAL chunk_compression_stats(to_regclass(hypertable))
                   WHERE after_compression_total_bytes > before_compression_total_bytes);
    FOR chunk IN
        SELECT name, is_compressed AS packed, name = ANY(grown) AS grown
        FROM jsonb_each_text(config -> 'after') c (hypertable, after)
        JOIN timescaledb_information.chunks ON hypertable_name::text = hypertable AND range_end < now() - after::interval
        CROSS JOIN LATERAL (SELECT format('%%I.%%I', chunk_schema, chunk_name)::regclass AS name OFFSET 0) n
        WHERE is_compressed OR obj_description(name, 'pg_class') IS DISTINCT FROM too_sparse(name)
        ORDER BY range_end
    LOOP
        BEGIN
            dense := chunk.packed;
            IF chunk.grown THEN
                CALL convert_to_rowstore(chunk.name);
                dense := false;
            ELSIF NOT chunk.packed THEN
                EXECUTE format('SELECT avg(rows) >= 8 FROM (SELECT count(*) AS rows FROM %%s GROUP BY series) s', chunk.name)
                INTO dense;
            END IF;
            IF dense THEN
                CALL convert_to_columnstore(chunk.name);
            ELSE
                EXECUTE format('COMMENT ON TABLE %%s IS %%L', chunk.name, too_sparse(chunk.name));
            END IF;
        EXCEPTION
            WHEN OTHERS THEN failed := format('%%s: %%s', chunk.name, SQLERRM);
        END;
        COMMIT;
    END LOOP;
    IF failed IS NOT NULL THEN
        RAISE EXCEPTION 'not packed: %%', failed;
    END IF;
END $$;
-- The community edition alone: what is a week old is packed in columns, and late data unpack what they touch. Readings of
-- a series lie together, so the fence and a late merge unpack one series of one day, not the day.
-- On the Apache edition every one of these statements would fail.
DO $$
DECLARE
    old   record;
    runs  boolean := true;
    after jsonb := '{"reading": "7 days", "window_5m": "7 days", "window_1h": "60 days"}';
BEGIN
    IF current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale' THEN
        RETURN;
    END IF;
    ALTER TABLE reading SET (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series',
                             timescaledb.orderby = 'start');
    ALTER TABLE window_5m SET (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series',
                               timescaledb.orderby = 'start');
    -- Hours stay for ever, most of what a hub keeps: a month of a series is one row of columns. To move them into chunks
    -- takes long and locks the table, so where there are many that is left to the operator (docs/operations.md).
    IF pg_table_size('window_1h') < 1 << 28 THEN
        PERFORM create_hypertable('window_1h', 'start', chunk_time_interval => interval '30 days',
                                  create_default_indexes => false, if_not_exists => true, migrate_data => true);
    END IF;
    IF EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_name = 'window_1h') THEN
        ALTER TABLE window_1h SET (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series',
                                   timescaledb.orderby = 'start');
    END IF;
    IF NOT EXISTS (SELECT FROM timescaledb_information.jobs WHERE proc_name = 'pack_chunks') THEN
        -- Once, in the place of TimescaleDB's own policies, with what an operator has set there.
        FOR old IN
            SELECT * FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression' AND after ? hypertable_name
        LOOP
            after := after || jsonb_strip_nulls(jsonb_build_object(old.hypertable_name, old.config -> 'compress_after'));
            runs := runs AND old.scheduled;
            PERFORM delete_job(old.job_id);
        END LOOP;
        PERFORM add_job('pack_chunks', interval '12 hours', config => jsonb_build_object('after', after), scheduled => runs);
    END IF;
    BEGIN
        -- A merge may unpack more rows than the 100,000 of the default, and would fail for ever.
        ALTER ROLE stadspuls_writer SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0;
    EXCEPTION
        WHEN insufficient_privilege OR undefined_object THEN
            RAISE NOTICE 'stadspuls_writer keeps its settings, deploy/timescale/roles.sql makes them: %%', SQLERRM;
    END;
END $$;
