-- Pages of what the hub holds, each beginning behind a key, as `aggregates.ask.listings` runs it.

-- name: list_sensors
-- Sensors by id, those without a place among them.
SELECT n.sensor_id, n.source, n.name, n.kind, n.lon, n.lat, n.indoor, n.lanes, n.inferred, n.catalogued,
       (SELECT count(*) FROM series s WHERE s.sensor_id = n.sensor_id) AS series,
       array(SELECT DISTINCT s.quantity FROM series s WHERE s.sensor_id = n.sensor_id ORDER BY 1) AS quantities
FROM sensor n
WHERE {in_scope}
  AND (%(quantities)s::text[] IS NULL OR EXISTS (
      SELECT FROM series s WHERE s.sensor_id = n.sensor_id AND s.quantity = ANY(%(quantities)s)))
  AND (%(after_sensor_id)s::text IS NULL OR n.sensor_id > %(after_sensor_id)s)
ORDER BY n.sensor_id LIMIT %(limit)s

-- name: in_scope
-- Whether a sensor n is one of those asked for; every condition is left out by null. `ever`: it was in the area once.
(%(source)s::text IS NULL OR n.source = %(source)s)
AND (%(sensors)s::text[] IS NULL OR n.sensor_id = ANY(%(sensors)s))
AND (%(west)s::float8 IS NULL OR n.lon BETWEEN %(west)s AND %(east)s AND n.lat BETWEEN %(south)s AND %(north)s)
AND (%(area)s::text IS NULL OR EXISTS (
    SELECT FROM sensor_area m
    WHERE m.sensor_id = n.sensor_id AND m.code = %(area)s AND (m.until = 'infinity' OR %(ever)s) AND m.vintage = {vintage_of_area}))

-- name: vintage_of_area
-- The year of the boundaries of an area: the one asked for, else the newest that has it.
coalesce(%(vintage)s::integer, (SELECT max(vintage) FROM area WHERE code = %(area)s))

-- name: list_series
-- The series of sensors, and between which windows they have measured: the first and the last of an index.
SELECT s.sensor_id, s.quantity, s.channel, s.period, q.unit, q.aggregation, n.source,
       coalesce((SELECT start FROM window_1h w WHERE w.series = s.series ORDER BY start LIMIT 1),
                (SELECT start FROM window_5m w WHERE w.series = s.series ORDER BY start LIMIT 1)) AS first_seen,
       coalesce((SELECT start FROM window_5m w WHERE w.series = s.series ORDER BY start DESC LIMIT 1),
                (SELECT start FROM window_1h w WHERE w.series = s.series ORDER BY start DESC LIMIT 1)) AS last_seen, n.lon, n.lat
FROM series s JOIN sensor n USING (sensor_id) JOIN quantity q USING (quantity)
WHERE {in_scope}
  AND (%(quantities)s::text[] IS NULL OR s.quantity = ANY(%(quantities)s))
  AND (%(after_sensor_id)s::text IS NULL OR (s.sensor_id, s.quantity, s.channel, s.period)
      > (%(after_sensor_id)s, %(after_quantity)s::text, %(after_channel)s::text, %(after_period)s::integer))
ORDER BY s.sensor_id, s.quantity, s.channel, s.period LIMIT %(limit)s

-- name: list_latest
-- The newest hour of every sensor that measures a quantity, of those that are rolled up: the newest of those of its series in
-- which it has a figure. OFFSET keeps the planner from making the hours of all sensors and times.
SELECT n.sensor_id, n.name, n.source, w.quantity, w.unit, w.start, w."end", w.value, w.estimate, w.coverage, w.valid, w.readings,
       w.flagged, w.failed, n.lon, n.lat
FROM sensor n
CROSS JOIN LATERAL (
    SELECT v.*
    FROM (
        SELECT DISTINCT h.start FROM series s
        CROSS JOIN LATERAL (SELECT w.start FROM window_1h w WHERE w.series = s.series ORDER BY w.start DESC LIMIT 1) h
        WHERE s.sensor_id = n.sensor_id AND s.quantity = %(quantity)s AND s.period <= 3600
    ) l
    CROSS JOIN LATERAL (
        SELECT * FROM sensor_1h v WHERE v.sensor_id = n.sensor_id AND v.quantity = %(quantity)s AND v.start = l.start
        OFFSET 0) v
    ORDER BY l.start DESC LIMIT 1
) w
WHERE {in_scope} AND (%(after_sensor_id)s::text IS NULL OR n.sensor_id > %(after_sensor_id)s)
ORDER BY n.sensor_id LIMIT %(limit)s

-- name: list_alerts
-- Alerts, the newest first, with the rule that raised them, where they are and who saw to them.
SELECT a.alert, a.rule, coalesce(r.title, a.rule) AS title, coalesce(r.title_nl, a.rule) AS title_nl, a.subject,
       coalesce(n.name, own.name) AS name, a.quantity, coalesce(r.unit, '') AS unit, a.level, a.severity,
       CASE WHEN a.state = 'raised' AND a.acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE a.state END AS state,
       a.since, a.until, a.value, a.worst, a.threshold, a.coverage, a.late, a.withdrawn, a.raised_at, a.updated_at,
       a.cleared_at, a.acknowledged_at, a.acknowledged_by, n.lon, n.lat
FROM alert a
LEFT JOIN alert_rule r USING (rule)
LEFT JOIN sensor n ON n.sensor_id = a.subject
LEFT JOIN LATERAL (SELECT name FROM area WHERE code = a.subject ORDER BY vintage DESC LIMIT 1) own ON true
WHERE (%(rule)s::text IS NULL OR a.rule = %(rule)s) AND (%(subject)s::text IS NULL OR a.subject = %(subject)s)
  AND (%(severity)s::text IS NULL OR a.severity = %(severity)s)
  AND (%(open)s::boolean IS NOT TRUE OR a.cleared_at IS NULL) AND (%(open)s::boolean IS NOT FALSE OR a.cleared_at IS NOT NULL)
  AND (%(after_raised_at)s::timestamptz IS NULL
       OR (a.raised_at, a.alert) < (%(after_raised_at)s, %(after_alert)s::bigint))
ORDER BY a.raised_at DESC, a.alert DESC LIMIT %(limit)s

-- name: list_datasets
-- What the hub has of each source, and of each vintage of areas: quantities, and from when until when.
SELECT n.source, NULL::integer AS vintage, NULL::text AS licence, array_agg(DISTINCT s.quantity ORDER BY s.quantity) AS quantities,
       min(f.start) AS first, max(l.start) + interval '1 hour' AS last
FROM series s JOIN sensor n USING (sensor_id)
CROSS JOIN LATERAL (SELECT start FROM window_1h w WHERE w.series = s.series ORDER BY start LIMIT 1) f
CROSS JOIN LATERAL (SELECT start FROM window_1h w WHERE w.series = s.series ORDER BY start DESC LIMIT 1) l
WHERE s.channel !~ '^index' GROUP BY n.source
UNION ALL
SELECT 'cbs', vintage, min(licence), '{}', make_timestamptz(vintage, 1, 1, 0, 0, 0, 'UTC'),
       make_timestamptz(vintage + 1, 1, 1, 0, 0, 0, 'UTC')
FROM area_load GROUP BY vintage
ORDER BY 1, 2
