-- A day of all series is found without a look at the other days of each, which PostgreSQL before 18 takes at the whole key;
-- with few pages in a range, because the planner takes a range for rows. And the dead letters of one source, the newest first.
DROP INDEX CONCURRENTLY IF EXISTS window_1d_start;
CREATE INDEX CONCURRENTLY window_1d_start ON window_1d USING brin (start) WITH (autosummarize = on, pages_per_range = 32);
DROP INDEX CONCURRENTLY IF EXISTS dead_letter_source;
CREATE INDEX CONCURRENTLY dead_letter_source ON dead_letter (source, last_at DESC, (encode(key, 'hex')) DESC);
