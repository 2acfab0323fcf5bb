-- Days of readings that are deleted and frozen, and the way back, as `streams.rollup.retention` runs it.

-- name: list_expired_days
-- UTC days whose newest reading came before `limit`, which hold no dirty hour and are not frozen yet. The running and the
-- last day are never frozen.
SELECT day FROM (
    SELECT (start AT TIME ZONE 'UTC')::date AS day, max(received_at) AS newest FROM reading
    WHERE start < %(limit)s + interval '10 minutes'  -- nothing is received longer before its start
    GROUP BY 1
) d
WHERE newest < %(limit)s AND day < (SELECT (closed_until AT TIME ZONE 'UTC')::date FROM rollup)
  AND NOT EXISTS (SELECT FROM mark m WHERE (m.hour AT TIME ZONE 'UTC')::date = day)
ORDER BY day

-- name: take_freeze_lock
-- No batch and no repair runs while a day becomes frozen or unfrozen, which takes a moment.
SELECT pg_advisory_xact_lock(hashtext('stadspuls freeze'))

-- name: is_day_expired
-- Whether a day may be frozen still. What comes for it from now on leaves a mark, for no roll-up runs.
SELECT coalesce(max(received_at) < %(limit)s, false) FROM reading WHERE start >= %(first)s AND start < %(last)s

-- name: freeze_day
-- A day whose readings are deleted from now on, unless something came for it a moment ago.
INSERT INTO frozen (day)
SELECT %(day)s WHERE NOT EXISTS (SELECT FROM mark WHERE (hour AT TIME ZONE 'UTC')::date = %(day)s)
ON CONFLICT (day) DO NOTHING RETURNING day

-- name: take_frozen_hour
-- The next hour of a frozen day whose readings are to be deleted: no row where all are.
UPDATE frozen f SET deleted_hours = deleted_hours + 1
WHERE day = (SELECT min(day) FROM frozen WHERE deleted_hours < 24) AND deleted_hours < 24
RETURNING f.day::timestamp AT TIME ZONE 'UTC' + (deleted_hours - 1) * interval '1 hour'

-- name: drop_frozen_chunks
-- Drop the chunks of a range of time whose days are all frozen.
SELECT drop_frozen_chunks(%(first)s, %(last)s)

-- name: delete_readings
-- Delete the readings of an hour, and the running totals that they were made of.
WITH totals AS (DELETE FROM running_total WHERE at >= %(first)s AND at < %(last)s)
DELETE FROM reading WHERE start >= %(first)s AND start < %(last)s

-- name: thaw_days
-- Unfreeze the days of a range whose readings are deleted, and delete their aggregates; days of quantities that only touch
-- it are made anew.
WITH thawed AS (
    DELETE FROM frozen WHERE day >= %(first)s AND day < %(last)s AND deleted_hours = 24 RETURNING day
), short AS (
    DELETE FROM window_5m WHERE (start AT TIME ZONE 'UTC')::date IN (SELECT day FROM thawed)
    AND start >= %(first)s::timestamp AT TIME ZONE 'UTC' AND start < %(last)s::timestamp AT TIME ZONE 'UTC'
), hours AS (
    DELETE FROM window_1h WHERE (start AT TIME ZONE 'UTC')::date IN (SELECT day FROM thawed) RETURNING series, start
), days AS (
    DELETE FROM window_1d w USING series s JOIN quantity q USING (quantity)
    WHERE w.series = s.series AND (w.series, w.start) IN (
        SELECT h.series, date_trunc('day', h.start, q2.zone)
        FROM hours h JOIN series s2 USING (series) JOIN quantity q2 USING (quantity))
), again AS (
    INSERT INTO mark (hour, members)
    SELECT h.start, array_agg(h.series) FROM window_1h h JOIN series s USING (series) JOIN quantity q USING (quantity)
    WHERE (h.start AT TIME ZONE 'UTC')::date NOT IN (SELECT day FROM thawed)
      AND (h.series, date_trunc('day', h.start, q.zone)) IN (
          SELECT x.series, date_trunc('day', x.start, q3.zone)
          FROM hours x JOIN series s3 USING (series) JOIN quantity q3 USING (quantity))
    GROUP BY h.start
), areas AS (
    INSERT INTO area_mark (hour, quantity)
    SELECT DISTINCT h.start, s.quantity FROM hours h JOIN series s USING (series) WHERE EXISTS (SELECT FROM area_load)
)
SELECT day FROM thawed ORDER BY day
