-- Live 5-minute rows change every minute, all of a page in one batch: with room for a second version of each the change
-- stays on the page and touches no index.
ALTER TABLE window_5m SET (fillfactor = 45);
-- Plain PostgreSQL: a small index that finds days of readings, where TimescaleDB has chunks.
CREATE INDEX IF NOT EXISTS reading_start ON reading USING brin (start);
CREATE INDEX IF NOT EXISTS window_1h_computed_at ON window_1h USING brin (computed_at) WITH (autosummarize = on);
CREATE INDEX IF NOT EXISTS window_5m_start ON window_5m USING brin (start);
