-- TimescaleDB, both editions: readings and 5-minute rows in chunks.
SELECT create_hypertable('reading', 'start', chunk_time_interval => %(chunk)s::interval,
                         create_default_indexes => false, if_not_exists => true, migrate_data => true);
SELECT create_hypertable('window_5m', 'start', chunk_time_interval => %(chunk)s::interval,
                         create_default_indexes => false, if_not_exists => true, migrate_data => true);
CREATE INDEX IF NOT EXISTS reading_received_at ON reading USING brin (received_at);
