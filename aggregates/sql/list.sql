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
-- The series of sensors.
SELECT s.sensor_id, s.quantity, s.channel, s.period, q.unit, q.aggregation, n.source, n.lon, n.lat
FROM series s JOIN sensor n USING (sensor_id) JOIN quantity q USING (quantity)
WHERE {in_scope}
  AND (%(quantities)s::text[] IS NULL OR s.quantity = ANY(%(quantities)s))
  AND (%(after_sensor_id)s::text IS NULL OR (s.sensor_id, s.quantity, s.channel, s.period)
      > (%(after_sensor_id)s, %(after_quantity)s::text, %(after_channel)s::text, %(after_period)s::integer))
ORDER BY s.sensor_id, s.quantity, s.channel, s.period LIMIT %(limit)s

-- name: list_area_windows
-- Windows of areas; <view> is area_hour or area_day.
SELECT a.vintage, a.code, a.level, a.name, a.quantity, a.unit, a.start, a."end", a.value, a.estimate, a.minimum, a.maximum,
       a.readings, a.flagged, a.failed, a.coverage, a.valid, a.sensors, a.valid_sensors, a.members, a.revision, a.computed_at
FROM <view> a
WHERE a.vintage = coalesce(%(vintage)s::integer, (SELECT max(vintage) FROM area))
  AND a.start >= %(first)s AND a.start < %(last)s
  AND (%(quantities)s::text[] IS NULL OR a.quantity = ANY(%(quantities)s))
  AND (%(areas)s::text[] IS NULL OR a.code = ANY(%(areas)s))
  AND (%(level)s::text IS NULL OR a.level = %(level)s)
  AND (%(coverage)s::float8 IS NULL OR a.coverage >= %(coverage)s)
  AND (%(valid)s::boolean IS NULL OR a.valid = %(valid)s)
  AND (%(after_code)s::text IS NULL OR (a.code, a.quantity, a.start)
      > (%(after_code)s, %(after_quantity)s::text, %(after_start)s::timestamptz))
ORDER BY a.code, a.quantity, a.start LIMIT %(limit)s

-- name: list_alerts
-- Alerts, the newest first, with the rule that raised them.
SELECT a.alert, a.rule, r.title, a.subject, a.quantity, r.unit, a.level, a.severity,
       CASE WHEN a.state = 'raised' AND a.acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE a.state END AS state,
       a.since, a.until, a.value, a.worst, a.threshold, a.coverage, a.late, a.withdrawn, a.raised_at, a.cleared_at,
       a.acknowledged_at
FROM alert a JOIN alert_rule r USING (rule)
WHERE (%(rule)s::text IS NULL OR a.rule = %(rule)s) AND (%(subject)s::text IS NULL OR a.subject = %(subject)s)
  AND (%(severity)s::text IS NULL OR a.severity = %(severity)s)
  AND (%(open)s::boolean IS NULL OR (a.cleared_at IS NULL) = %(open)s)
  AND (%(after_raised_at)s::timestamptz IS NULL
       OR (a.raised_at, a.alert) < (%(after_raised_at)s, %(after_alert)s::bigint))
ORDER BY a.raised_at DESC, a.alert DESC LIMIT %(limit)s
