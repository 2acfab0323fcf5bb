-- What an export has to write, as `aggregates.export.export` runs it.

-- name: export_clock
-- The time of the database, and until when hours are closed.
SELECT now(), (SELECT closed_until FROM rollup)

-- name: export_vintages
-- The vintages that are loaded.
SELECT DISTINCT vintage FROM area_load ORDER BY vintage

-- name: list_sources
-- Who supplies: the sources of these sensors, or of all that measure something, or a quantity, here or in the areas of a
-- vintage; whether their windows are valid or not. For a group its members stand.
SELECT DISTINCT n.source FROM sensor n JOIN series s USING (sensor_id)
WHERE n.source <> 'group' AND (%(quantity)s::text IS NULL OR s.quantity = %(quantity)s)
  AND (%(vintage)s::integer IS NULL OR EXISTS (
      SELECT FROM sensor_area m WHERE m.sensor_id = n.sensor_id AND m.vintage = %(vintage)s))
  AND (%(sensors)s::text[] IS NULL OR n.sensor_id = ANY(%(sensors)s) OR s.series IN ({in_groups}))
ORDER BY 1

-- name: in_groups
-- The series that the groups among these sensors are made of.
SELECT p.series FROM group_part p JOIN series g ON g.series = p.head WHERE g.sensor_id = ANY(%(sensors)s)

-- name: export_span, planned each time
-- The files from the first closed hour to the last, as written now: what may be in an export that has nothing yet. Two
-- looks at the index for each series, where `export_changed` reads every hour.
{files_of} (
    SELECT r.quantity, d.day::date AS day, r.at
    FROM (SELECT s.quantity, now() AS at, {closed_span} FROM series s {closed_ends} GROUP BY s.quantity) r {closed_days}
) {of_days}

-- name: export_changed, planned each time
-- The files whose closed hours were written since a moment, and when last; by the time of the roll-up, which writes an hour
-- anew whenever a reading of it changed. Of windows also all days of sensors whose validity changed.
{files_of} (
    SELECT s.quantity, (date_bin('1 day', w.start, 'epoch') AT TIME ZONE 'UTC')::date AS day, max(w.computed_at) AS at
    FROM window_1h w JOIN series s USING (series)
    WHERE w.computed_at >= %(since)s AND w.start >= %(first)s AND w.start < %(last)s
      AND w.start < (SELECT closed_until FROM rollup)
    GROUP BY s.quantity, date_bin('1 day', w.start, 'epoch')
    UNION ALL
    SELECT r.quantity, d.day::date, r.at
    FROM (
        SELECT s.quantity, max(c.made_at) AS at, {closed_span}
        FROM changed_validity c {of_changed} {closed_ends}
        WHERE c.made_at >= %(since)s AND NOT c.areas AND %(window)s <> '' GROUP BY s.quantity
    ) r {closed_days}
) {of_days}

-- name: files_of
-- Quantity, first UTC day, and when last written, of the files that hold the UTC days c: a day of readings, or a month of
-- windows. The local day that an hour belongs to may begin on the UTC day before.
SELECT c.quantity, CASE WHEN %(window)s = '' THEN d.day ELSE date_trunc('month', d.day)::date END AS first_day, max(c.at) FROM

-- name: of_days
-- See `files_of`.
c CROSS JOIN LATERAL (SELECT c.day UNION SELECT c.day - 1 WHERE %(window)s = '1d') d (day)
WHERE %(quantity)s::text IS NULL OR c.quantity = %(quantity)s
GROUP BY 1, 2 ORDER BY 1, 2

-- name: closed_span
-- From when until when: see `closed_ends`.
min(a.start) AS first, max(b.start) AS last

-- name: closed_ends
-- The first and the last closed hour of a series s that start in [first, last).
CROSS JOIN LATERAL (SELECT {closed_hours} ORDER BY w.start LIMIT 1) a
CROSS JOIN LATERAL (SELECT {closed_hours} ORDER BY w.start DESC LIMIT 1) b

-- name: closed_hours
-- The closed hours of a series s that start in [first, last).
w.start FROM window_1h w
WHERE w.series = s.series AND w.start >= %(first)s AND w.start < %(last)s AND w.start < (SELECT closed_until FROM rollup)

-- name: closed_days
-- The UTC days of a span r.
CROSS JOIN LATERAL generate_series(
    date_trunc('day', r.first AT TIME ZONE 'UTC'), r.last AT TIME ZONE 'UTC', '1 day') d (day)

-- name: export_changed_areas
-- As `export_changed`, of the area figures of a vintage.
{files_of} (
    SELECT quantity, (start AT TIME ZONE 'UTC')::date AS day, max(computed_at) AS at
    FROM area_1h WHERE vintage = %(vintage)s AND computed_at >= %(since)s AND start >= %(first)s AND start < %(last)s
    GROUP BY 1, 2
) {of_days}
