-- What an export has to write, as `aggregates.export.export` runs it.

-- name: export_clock
-- The time of the database, and until when hours are closed.
SELECT now(), (SELECT closed_until FROM rollup)

-- name: export_vintages
-- The vintages that are loaded.
SELECT DISTINCT vintage FROM area_load ORDER BY vintage

-- name: list_sources
-- Whose sensors measure something, or a quantity, here or in the areas of a vintage; whether their windows are valid or not.
SELECT DISTINCT n.source FROM sensor n JOIN series s USING (sensor_id)
WHERE (%(quantity)s::text IS NULL OR s.quantity = %(quantity)s)
  AND (%(vintage)s::integer IS NULL OR EXISTS (
      SELECT FROM sensor_area m WHERE m.sensor_id = n.sensor_id AND m.vintage = %(vintage)s))
ORDER BY 1

-- name: export_span
-- The quantities and UTC days from the first closed hour to the last, as written now: what may be in an export that has
-- nothing yet. Two looks at the index for each series, where `export_changed` reads every hour.
SELECT r.quantity, d.day::date, r.at
FROM (SELECT s.quantity, now() AS at, {closed_span} FROM series s {closed_ends} GROUP BY s.quantity) r {closed_days}

-- name: export_changed
-- The quantities and UTC days whose closed hours were written since a moment, and when last; by the time of the roll-up,
-- which writes an hour anew whenever a reading of it changed. Of windows also all days of sensors whose validity changed.
SELECT s.quantity, (date_bin('1 day', w.start, 'epoch') AT TIME ZONE 'UTC')::date AS day, max(w.computed_at)
FROM window_1h w JOIN series s USING (series)
WHERE w.computed_at >= %(since)s AND w.start >= %(first)s AND w.start < least(%(last)s, (SELECT closed_until FROM rollup))
GROUP BY s.quantity, date_bin('1 day', w.start, 'epoch')
UNION ALL
SELECT r.quantity, d.day::date, r.at
FROM (
    SELECT s.quantity, max(c.made_at) AS at, {closed_span}
    FROM changed_validity c {of_changed} {closed_ends}
    WHERE c.made_at >= %(since)s AND NOT c.areas AND %(window)s <> '' GROUP BY s.quantity
) r {closed_days}
ORDER BY 1, 2

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
WHERE w.series = s.series AND w.start >= %(first)s AND w.start < least(%(last)s, (SELECT closed_until FROM rollup))

-- name: closed_days
-- The UTC days of a span r.
CROSS JOIN LATERAL generate_series(
    date_trunc('day', r.first AT TIME ZONE 'UTC'), r.last AT TIME ZONE 'UTC', '1 day') d (day)

-- name: export_changed_areas
-- As `export_changed`, of the area figures of a vintage.
SELECT quantity, (start AT TIME ZONE 'UTC')::date AS day, max(computed_at)
FROM area_1h WHERE vintage = %(vintage)s AND computed_at >= %(since)s AND start >= %(first)s AND start < %(last)s
GROUP BY 1, 2 ORDER BY 1, 2
