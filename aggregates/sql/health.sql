-- How the hub is, for `/metrics` and `stadspuls doctor`.

-- name: read_state
-- What the hub's health is judged by.
SELECT (SELECT count(*) FROM dead_letter) AS dead_letters,
       (SELECT count(*) FROM mark WHERE hour + interval '1 hour' < %(now)s) AS marks,
       (SELECT extract(epoch FROM %(now)s - min(CASE WHEN made_at < %(now)s THEN greatest(hour, made_at) ELSE hour END))
        FROM mark WHERE hour + interval '1 hour' < %(now)s)::float8 AS oldest_mark,
       (SELECT count(*) FROM series) AS series,
       (SELECT count(*) FROM sensor) AS sensors,
       (SELECT count(*) FROM sensor WHERE lon IS NULL) AS unplaced,
       (SELECT count(*) FROM frozen) AS frozen_days,
       (SELECT closed_until FROM rollup) AS closed_until,
       (SELECT reconciled FROM rollup) AS reconciled,
       (SELECT current_setting('server_version')) AS server_version,
       (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescale_version

-- name: note_sign_of_life
-- A part of the hub is at work now.
INSERT INTO sign_of_life (part, seen_at, trouble) VALUES (%(part)s, %(now)s, %(trouble)s)
ON CONFLICT (part) DO UPDATE SET seen_at = excluded.seen_at, trouble = excluded.trouble

-- name: list_signs_of_life
-- When each part was last at work, and what did not work.
SELECT part, seen_at, trouble FROM sign_of_life ORDER BY part

-- name: list_positions
-- How far each partition of the log is in the store: the offset of the next record to read.
SELECT topic, partition, position FROM log_position
