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
-- The community edition alone: what is a week old is packed in columns, and late data unpack what they touch. Readings of
-- a series lie together, so the fence and a late merge unpack one series of one day, not the day.
-- On the Apache edition every one of these statements would fail.
DO $$
BEGIN
    IF current_setting('timescaledb.license', true) IS DISTINCT FROM 'timescale' THEN
        RETURN;
    END IF;
    ALTER TABLE reading SET (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series',
                             timescaledb.orderby = 'start');
    ALTER TABLE window_5m SET (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series',
                               timescaledb.orderby = 'start');
    CALL add_columnstore_policy('reading', after => interval '7 days', if_not_exists => true);
    CALL add_columnstore_policy('window_5m', after => interval '7 days', if_not_exists => true);
    -- Hours stay for ever, most of what a hub keeps: a month of a series is one row of columns. To move them into chunks
    -- takes long and locks the table, so where there are many that is left to the operator (docs/operations.md).
    IF pg_table_size('window_1h') < 1 << 28 THEN
        PERFORM create_hypertable('window_1h', 'start', chunk_time_interval => interval '30 days',
                                  create_default_indexes => false, if_not_exists => true, migrate_data => true);
    END IF;
    IF EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_name = 'window_1h') THEN
        ALTER TABLE window_1h SET (timescaledb.enable_columnstore = true, timescaledb.segmentby = 'series',
                                   timescaledb.orderby = 'start');
        CALL add_columnstore_policy('window_1h', after => interval '60 days', if_not_exists => true);
    END IF;
    BEGIN
        -- A merge may unpack more rows than the 100,000 of the default, and would fail for ever.
        ALTER ROLE stadspuls_writer SET timescaledb.max_tuples_decompressed_per_dml_transaction = 0;
    EXCEPTION
        WHEN insufficient_privilege OR undefined_object THEN
            RAISE NOTICE 'stadspuls_writer keeps its settings, deploy/timescale/roles.sql makes them: %%', SQLERRM;
    END;
END $$;
