-- Sensors into areas, and area windows out of those of their sensors, as `aggregates.areas.roll_up` runs it.

-- name: list_unplaced
-- Places that were not held against the boundaries of a vintage yet.
SELECT v.vintage, p.sensor_id, p.since, p.lon, p.lat
FROM (SELECT DISTINCT vintage FROM area_load WHERE part = 'boundaries') v
CROSS JOIN sensor_place p
LEFT JOIN placement l ON (l.vintage, l.sensor_id, l.since, l.lon, l.lat) = (v.vintage, p.sensor_id, p.since, p.lon, p.lat)
WHERE l.sensor_id IS NULL
ORDER BY v.vintage, p.sensor_id, p.since

-- name: list_area_shapes
-- The boundaries of a vintage.
SELECT code, name, geometry FROM area WHERE vintage = %(vintage)s AND geometry IS NOT NULL AND NOT derived

-- name: upsert_placements
-- Where sensors stand: in which area, or how far from the nearest.
INSERT INTO placement (vintage, sensor_id, since, lon, lat, status, code, nearest, distance)
SELECT %(vintage)s, * FROM unnest(%(sensor_id)s::text[], %(since)s::timestamptz[], %(lon)s::float8[], %(lat)s::float8[],
    %(status)s::text[], %(code)s::text[], %(nearest)s::text[], %(distance)s::float8[])
ON CONFLICT (vintage, sensor_id, since) DO UPDATE SET lon = excluded.lon, lat = excluded.lat, status = excluded.status,
    code = excluded.code, nearest = excluded.nearest, distance = excluded.distance

-- name: mark_sensor_hours
-- Every hour of these sensors (null: of all) must be made anew.
INSERT INTO area_mark (hour, quantity)
SELECT DISTINCT w.start, s.quantity FROM series s JOIN window_1h w USING (series)
WHERE (%(sensor_id)s::text[] IS NULL OR s.sensor_id = ANY(%(sensor_id)s))

-- name: mark_rolled_hours
-- The hours that this roll-up wrote, for the areas, where there are any.
INSERT INTO area_mark (hour, quantity)
SELECT DISTINCT d.start, s.quantity FROM dirty d JOIN series s USING (series) WHERE EXISTS (SELECT FROM area_load)

-- name: plan_for_areas
-- For statements over whole hours of all sensors, whose rows the planner cannot estimate through the views.
SELECT set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true)

-- name: take_area_marks
-- The marks of the oldest marked day and one quantity of it: delete what this statement sees, read the figures later.
WITH oldest AS (
    SELECT quantity, date_trunc('day', hour, 'UTC') AS day FROM area_mark ORDER BY hour LIMIT 1
), taken AS (
    DELETE FROM area_mark m USING oldest o
    WHERE m.quantity = o.quantity AND m.hour >= o.day AND m.hour < o.day + interval '1 day' RETURNING m.quantity, m.hour
)
SELECT t.quantity, min(t.hour), max(t.hour), date_trunc('day', min(t.hour), min(q.zone)),
       date_trunc('day', max(t.hour), min(q.zone))
FROM taken t JOIN quantity q USING (quantity) GROUP BY t.quantity

-- name: roll_areas
-- The windows of areas of a level, <level> being 1h or 1d, out of those of their sensors.
WITH m AS MATERIALIZED ({area_members})
INSERT INTO area_<level> AS a ({area_columns})
SELECT {area_figures}
FROM sensor_<level> f JOIN quantity q USING (quantity)
JOIN m ON m.sensor_id = f.sensor_id AND f.start >= m.since AND f.start < m.until
WHERE f.quantity = %(quantity)s AND f.start >= %(first)s AND f.start <= %(last)s
GROUP BY m.area, f.start
ON CONFLICT (vintage, code, quantity, start) DO UPDATE SET {replace_area_figures};
-- Rows that this transaction did not make: their sensors are gone.
DELETE FROM area_<level> WHERE quantity = %(quantity)s AND start >= %(first)s AND start <= %(last)s AND computed_at < now()

-- name: area_members
-- Which sensor belongs to which area, with numbers for both: sorting a million rows by text takes twice as long.
SELECT vintage, code, sensor_id, since, until, dense_rank() OVER (ORDER BY vintage, code)::integer AS area,
       dense_rank() OVER (ORDER BY sensor_id COLLATE "C")::integer AS place
FROM sensor_area

-- name: area_columns
-- The columns of an area window.
vintage, code, quantity, start, sensors, valid_sensors, value, estimate, minimum, maximum, readings, flagged, failed,
coverage, valid, status, members

-- name: area_figures
-- The figures of an area in a window f of its sensors m: over the valid ones, which are named.
min(m.vintage), min(m.code), min(f.quantity), f.start, count(*)::integer AS sensors,
(count(*) FILTER (WHERE f.valid))::integer AS valid_sensors,
CASE min(q.aggregation) WHEN 'sum' THEN sum(f.value) FILTER (WHERE f.valid) ELSE avg(f.value) FILTER (WHERE f.valid) END AS value,
CASE min(q.aggregation) WHEN 'sum' THEN sum(f.estimate) FILTER (WHERE f.valid) END AS estimate,
min(f.minimum) FILTER (WHERE f.valid) AS minimum, max(f.maximum) FILTER (WHERE f.valid) AS maximum,
sum(f.readings)::bigint AS readings, sum(f.flagged)::bigint AS flagged, sum(f.failed)::bigint AS failed,
CASE WHEN bool_and(f.coverage IS NOT NULL) THEN avg(f.coverage) END AS coverage,
CASE min(q.aggregation) WHEN 'sum' THEN bool_and(f.valid) ELSE bool_or(f.valid) END AS valid, min(f.status) AS status,
coalesce(array_agg(f.sensor_id ORDER BY m.place) FILTER (WHERE f.valid), '{}') AS members

-- name: replace_area_figures
-- The figures of an area window that is there already become the new ones.
sensors = excluded.sensors, valid_sensors = excluded.valid_sensors, value = excluded.value, estimate = excluded.estimate,
minimum = excluded.minimum, maximum = excluded.maximum, readings = excluded.readings, flagged = excluded.flagged,
failed = excluded.failed, coverage = excluded.coverage, valid = excluded.valid, status = excluded.status,
members = excluded.members, computed_at = now(), revision = a.revision + 1
