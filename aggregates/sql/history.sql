-- What changed in closed windows, when and why, and since when that is known.

-- name: read_versions_since
-- Since when earlier figures are kept, and the time by the clock that dates them.
SELECT versions_since, now() FROM rollup

-- name: history_series
-- The series whose windows a history is about; of a group those of its members.
SELECT s.series, s.sensor_id, s.quantity, n.source
FROM series s JOIN sensor n USING (sensor_id)
WHERE %(area)s::text IS NULL AND (%(quantities)s::text[] IS NULL OR s.quantity = ANY(%(quantities)s))
  AND (({in_scope}) OR s.series IN ({in_groups}))

-- name: changed_hours
-- The hours of these series that changed: what they were, and are.
SELECT v.* FROM window_1h_version v JOIN chosen USING (series) WHERE v.start >= %(first)s AND v.start < %(last)s
UNION ALL
SELECT w.*, 'infinity', '' FROM (
    SELECT DISTINCT v.series, v.start FROM window_1h_version v JOIN chosen USING (series)
    WHERE v.start >= %(first)s AND v.start < %(last)s
) v JOIN window_1h w USING (series, start)

-- name: changed_days
-- The same of days.
SELECT v.* FROM window_1d_version v JOIN chosen USING (series) WHERE v.start >= %(first)s AND v.start < %(last)s
UNION ALL
SELECT w.*, 'infinity', '' FROM (
    SELECT DISTINCT v.series, v.start FROM window_1d_version v JOIN chosen USING (series)
    WHERE v.start >= %(first)s AND v.start < %(last)s
) v JOIN window_1d w USING (series, start)

-- name: list_history, planned each time
-- Every change of a closed window: what the figure was and what it became. The windows stand in for the tables of which
-- `rolled_hours` and `rolled_days` make figures. A change of the catalogue is about all windows that were asked for.
WITH chosen AS MATERIALIZED ({history_series}),
window_1h AS MATERIALIZED ({changed_hours}), window_1d AS MATERIALIZED ({changed_days}),
figure AS (
    SELECT a.sensor_id AS subject, a.quantity, a.channel, a.period, '1h' AS "window", a.start, a."end", a.unit, a.value, a.valid,
           a.readings::bigint AS readings, coalesce(w.since, w.computed_at) AS since, w.until, w.reason
    FROM ({rolled_hours}) a JOIN window_1h w USING (series, start, computed_at)
    UNION ALL
    SELECT a.sensor_id, a.quantity, a.channel, a.period, '1d', a.start, a."end", a.unit, a.value, a.valid, a.readings,
           coalesce(w.since, w.computed_at), w.until, w.reason
    FROM ({rolled_days}) a JOIN window_1d w USING (series, start, computed_at)
    UNION ALL
    SELECT a.code, a.quantity, a.vintage::text, 0, a.level, a.start, d."end", q.unit, a.value, a.valid, a.readings,
           coalesce(a.since, a.computed_at), a.until, a.reason
    FROM ({changed_areas}) a JOIN quantity q USING (quantity) CROSS JOIN LATERAL (
        SELECT CASE a.level WHEN '1h' THEN a.start + interval '1 hour'
               ELSE day_end(a.start, q.zone) END AS "end") d
), change AS (
    SELECT f.*, lead(since) OVER c = until AS is_there, lead(value) OVER c AS after, lead(valid) OVER c AS valid_after,
           lead(readings) OVER c AS readings_after
    FROM figure f WINDOW c AS (PARTITION BY subject, quantity, channel, period, "window", start ORDER BY until)
), catalogue AS (
    SELECT c.*, coalesce(lead(was) OVER (PARTITION BY kind, key ORDER BY until), k.present) AS became
    FROM catalogue_version c JOIN (
        SELECT DISTINCT 'sensor' AS kind, n.sensor_id AS key, to_jsonb(n) AS present FROM sensor n JOIN chosen USING (sensor_id)
        UNION SELECT 'source', o.source, to_jsonb(o) FROM source o JOIN chosen USING (source)
        UNION SELECT 'quantity', q.quantity, to_jsonb(q) FROM quantity q JOIN chosen USING (quantity)
    ) k USING (kind, key)
), listed AS (
    SELECT subject, quantity, channel, period, "window", start, "end", until AS changed_at, unit, reason, NULL AS detail,
           value AS before, CASE WHEN is_there THEN after END AS after, valid AS valid_before,
           coalesce(is_there AND valid_after, false) AS valid_after, readings AS readings_before,
           CASE WHEN is_there THEN readings_after ELSE 0 END AS readings_after
    FROM change WHERE until <> 'infinity'
    UNION ALL
    SELECT c.key, CASE kind WHEN 'quantity' THEN key ELSE '' END, '', 0, kind, %(first)s, %(last)s, until, '', 'catalogue',
           (SELECT string_agg(format('%%s %%s, then %%s', w.key, w.value, c.became -> w.key), ', ' ORDER BY w.key)
            FROM jsonb_each(c.was) w WHERE w.value <> c.became -> w.key
            AND w.key IN ('lanes', 'channels', 'aggregation', 'zone', 'coverage', 'hours')),
           NULL, NULL, NULL, NULL, NULL, NULL
    FROM catalogue c
)
SELECT * FROM listed
WHERE %(after_subject)s::text IS NULL OR (subject, quantity, channel, period, "window", start, changed_at)
      > (%(after_subject)s, %(after_quantity)s::text, %(after_channel)s::text, %(after_period)s::integer, %(after_window)s::text,
         %(after_start)s::timestamptz, %(after_changed_at)s::timestamptz)
ORDER BY subject, quantity, channel, period, "window", start, changed_at LIMIT %(limit)s

-- name: changed_areas
-- The windows of an area that changed: what they were, and are.
SELECT '1h' AS level, {area_version}, until, reason FROM area_1h_version v WHERE {in_history}
UNION ALL
SELECT '1d', {area_version}, until, reason FROM area_1d_version v WHERE {in_history}
UNION ALL
SELECT '1h', {area_version}, 'infinity', '' FROM area_1h v WHERE {in_history}
UNION ALL
SELECT '1d', {area_version}, 'infinity', '' FROM area_1d v WHERE {in_history}

-- name: area_version
-- What a history says of a window of an area.
vintage, code, quantity, start, value, valid, readings, since, computed_at

-- name: in_history
-- Whether a window v of an area is one of those asked for.
v.code = %(area)s AND v.vintage = {vintage_of_area} AND v.start >= %(first)s AND v.start < %(last)s
AND (%(quantities)s::text[] IS NULL OR v.quantity = ANY(%(quantities)s))
