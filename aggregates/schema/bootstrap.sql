-- Before any migration: where they are noted, and TimescaleDB where this server has it loaded.
CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
DO $$
BEGIN
    -- Its loader's setting tells, not shared_preload_libraries: only a superuser may look at that.
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
       AND current_setting('timescaledb.disable_load', true) IS NOT NULL
       AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb') THEN
        CREATE EXTENSION IF NOT EXISTS timescaledb;
    END IF;
END $$;
