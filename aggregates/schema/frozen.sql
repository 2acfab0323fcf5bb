-- Drop the chunks of readings in a range of time, where TimescaleDB has chunks and all days of a chunk are frozen. Who may
-- write may have it done, though a chunk belongs to who made the tables.
CREATE OR REPLACE FUNCTION drop_frozen_chunks(first timestamptz, last timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    chunk record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        RETURN;
    END IF;
    FOR chunk IN EXECUTE
        'SELECT range_start, range_end FROM timescaledb_information.chunks'
        ' WHERE hypertable_name = ''reading'' AND range_end > $1 AND range_start < $2' USING first, last
    LOOP
        IF NOT EXISTS (
            SELECT day::date FROM generate_series(
                date_trunc('day', chunk.range_start AT TIME ZONE 'UTC'),
                chunk.range_end AT TIME ZONE 'UTC' - interval '1 microsecond', interval '1 day') AS day
            EXCEPT SELECT day FROM frozen
        ) THEN
            EXECUTE 'SELECT drop_chunks(''reading'', older_than => $1, newer_than => $2)'
            USING chunk.range_end, chunk.range_start;
        END IF;
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION drop_frozen_chunks FROM PUBLIC;
