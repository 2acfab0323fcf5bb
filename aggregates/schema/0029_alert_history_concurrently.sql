-- The alerts of a sensor, and what happened in the last day, are found without a look at all that ever were, and the name of
-- an area without one at all areas.
DROP INDEX CONCURRENTLY IF EXISTS alert_subject;
CREATE INDEX CONCURRENTLY alert_subject ON alert (subject, raised_at DESC, alert DESC);
DROP INDEX CONCURRENTLY IF EXISTS area_code;
CREATE INDEX CONCURRENTLY area_code ON area (code, vintage DESC);
DROP INDEX CONCURRENTLY IF EXISTS alert_cleared;
CREATE INDEX CONCURRENTLY alert_cleared ON alert (cleared_at);
DROP INDEX CONCURRENTLY IF EXISTS outbox_written;
CREATE INDEX CONCURRENTLY outbox_written ON outbox USING brin (written_at) WITH (autosummarize = on, pages_per_range = 32);
