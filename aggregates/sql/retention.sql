-- Days of readings that are deleted and frozen, and the way back, as `streams.rollup.retention` runs it.

-- name: list_expired_days
-- UTC days with hours, none of them dirty, that may have been received before `limit` and are not frozen yet: whether they
-- are expired a look at each tells. Nothing is received over 10 minutes before its start. The running and the last day are
-- never frozen. Of frozen days nothing is read.
SELECT day::date
FROM ({read_first_day}) f (first) CROSS JOIN rollup CROSS JOIN LATERAL generate_series(
    first::timestamp, least((%(limit)s + interval '10 minutes') AT TIME ZONE 'UTC',
                            (closed_until AT TIME ZONE 'UTC')::date - interval '1 day'), '1 day') d (day)
WHERE NOT EXISTS (SELECT FROM frozen WHERE frozen.day = d.day)
  AND NOT EXISTS (SELECT FROM mark m WHERE m.hour >= d.day AT TIME ZONE 'UTC'
                  AND m.hour < d.day AT TIME ZONE 'UTC' + interval '1 day')
  AND EXISTS (SELECT FROM window_1h w WHERE w.start >= d.day AT TIME ZONE 'UTC'
              AND w.start < d.day AT TIME ZONE 'UTC' + interval '1 day')
ORDER BY day

-- name: take_freeze_lock
-- No batch and no repair runs while a day becomes frozen or unfrozen, which takes a moment.
SELECT pg_advisory_xact_lock(hashtext('stadspuls freeze'))

-- name: find_expired, planned each time
-- A row where a day may be frozen still. What comes for it from now on leaves a mark, for no roll-up runs.
SELECT max(received_at) FROM reading
WHERE start >= %(day)s::timestamp AT TIME ZONE 'UTC' AND start < (%(day)s::timestamp + interval '1 day') AT TIME ZONE 'UTC'
HAVING max(received_at) < %(limit)s

-- name: freeze_day
-- A day whose readings are deleted from now on, unless something came for it a moment ago.
INSERT INTO frozen (day)
SELECT %(day)s::date WHERE NOT EXISTS (
    SELECT FROM mark WHERE hour >= %(day)s::timestamp AT TIME ZONE 'UTC'
    AND hour < %(day)s::timestamp AT TIME ZONE 'UTC' + interval '1 day')
ON CONFLICT (day) DO NOTHING RETURNING day

-- name: take_frozen_hour
-- The next hour of a frozen day whose readings are to be deleted: no row where all are.
UPDATE frozen f SET deleted_hours = deleted_hours + 1
WHERE day = (SELECT min(day) FROM frozen WHERE deleted_hours < 24) AND deleted_hours < 24
RETURNING f.day::timestamp AT TIME ZONE 'UTC' + (deleted_hours - 1) * interval '1 hour'

-- name: drop_frozen_chunks
-- Drop the chunks of a range of time whose days are all frozen.
SELECT drop_frozen_chunks(%(first)s, %(last)s)

-- name: delete_readings, planned each time
-- Delete the readings of an hour, and the running totals that they were made of.
WITH totals AS (DELETE FROM running_total WHERE at >= %(first)s AND at < %(last)s)
DELETE FROM reading WHERE start >= %(first)s AND start < %(last)s

-- name: list_frozen_days
-- The frozen days.
SELECT day FROM frozen ORDER BY day

-- name: thaw_days
-- Unfreeze the days of a range whose readings are deleted, and delete their aggregates; days of quantities that only touch
-- it are made anew.
WITH thawed AS (
    DELETE FROM frozen WHERE day >= %(first)s AND day < %(last)s AND deleted_hours = 24 RETURNING day
), short AS (
    DELETE FROM window_5m WHERE (start AT TIME ZONE 'UTC')::date IN (SELECT day FROM thawed)
    AND start >= %(first)s::timestamp AT TIME ZONE 'UTC' AND start < %(last)s::timestamp AT TIME ZONE 'UTC'
), hours AS (
    DELETE FROM window_1h WHERE (start AT TIME ZONE 'UTC')::date IN (SELECT day FROM thawed)
    AND start >= %(first)s::timestamp AT TIME ZONE 'UTC' AND start < %(last)s::timestamp AT TIME ZONE 'UTC'
    RETURNING series, start
), days AS (
    DELETE FROM window_1d w USING series s JOIN quantity q USING (quantity)
    WHERE w.series = s.series AND w.start > %(first)s::timestamp - interval '2 days'
      AND w.start < %(last)s::timestamp + interval '1 day' AND (w.series, w.start) IN (
        SELECT h.series, date_trunc('day', h.start, q2.zone)
        FROM hours h JOIN series s2 USING (series) JOIN quantity q2 USING (quantity))
), sensor_hours AS (
    DELETE FROM sensor_evidence_1h WHERE (start AT TIME ZONE 'UTC')::date IN (SELECT day FROM thawed)
    AND start >= %(first)s::timestamp AT TIME ZONE 'UTC' AND start < %(last)s::timestamp AT TIME ZONE 'UTC'
), sensor_days AS (
    DELETE FROM sensor_evidence_1d WHERE (head, start) IN (
        SELECT unnest(s2.head || ARRAY(SELECT p.head FROM group_part p WHERE p.series = s2.series)),
               date_trunc('day', h.start, q2.zone)
        FROM hours h JOIN series s2 USING (series) JOIN quantity q2 USING (quantity))
), again AS (
    INSERT INTO mark (hour, members)
    SELECT h.start, array_agg(h.series) FROM window_1h h JOIN series s USING (series) JOIN quantity q USING (quantity)
    WHERE h.start > %(first)s::timestamp - interval '2 days' AND h.start < %(last)s::timestamp + interval '2 days'
      AND (h.start AT TIME ZONE 'UTC')::date NOT IN (SELECT day FROM thawed)
      AND (h.series, date_trunc('day', h.start, q.zone)) IN (
          SELECT x.series, date_trunc('day', x.start, q3.zone)
          FROM hours x JOIN series s3 USING (series) JOIN quantity q3 USING (quantity))
    GROUP BY h.start
), areas AS (
    INSERT INTO area_mark (hour, quantity)
    SELECT DISTINCT h.start, s.quantity FROM hours h JOIN series s USING (series) WHERE EXISTS (SELECT FROM area_load)
)
SELECT day FROM thawed ORDER BY day

-- name: forget_versions
-- Delete earlier figures, and what the catalogue was, that changed before `limit`: as of then nothing can be asked any more.
WITH hours AS (DELETE FROM window_1h_version WHERE until < %(limit)s),
days AS (DELETE FROM window_1d_version WHERE until < %(limit)s),
area_hours AS (DELETE FROM area_1h_version WHERE until < %(limit)s),
area_days AS (DELETE FROM area_1d_version WHERE until < %(limit)s),
catalogue AS (DELETE FROM catalogue_version WHERE until < %(limit)s),
repaired AS (DELETE FROM repair WHERE made_at < %(limit)s)
UPDATE rollup SET versions_since = greatest(versions_since, %(limit)s)
