-- Where hours lie in TimescaleDB's chunks their trigger runs on a chunk, and must not take its name for the table's.
DO $$
BEGIN
    EXECUTE replace(replace(pg_get_functiondef('keep_version'::regproc), 'TG_TABLE_NAME', 'changed'), 'DECLARE', $new$DECLARE
    changed text := CASE TG_TABLE_SCHEMA WHEN '_timescaledb_internal' THEN 'window_1h' ELSE TG_TABLE_NAME END;$new$);
END $$;
