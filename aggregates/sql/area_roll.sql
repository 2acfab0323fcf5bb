-- Sensors into areas, and area windows out of those of their sensors, as `aggregates.areas.roll_up` runs it.

-- name: find_unplaced
-- Whether there may be places that were not held against all boundaries yet.
SELECT 1 FROM unplaced LIMIT 1

-- name: take_unplaced
-- Delete the notes that there are such, before these are looked for.
DELETE FROM unplaced

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

-- name: close_placements
-- A place holds until the sensor's next one.
UPDATE placement p SET until = n.until
FROM (SELECT sensor_id, since, coalesce(lead(since) OVER (PARTITION BY sensor_id ORDER BY since), 'infinity') AS until
      FROM placement WHERE vintage = %(vintage)s AND sensor_id = ANY (%(sensor_id)s::text[])) n
WHERE p.vintage = %(vintage)s AND (p.sensor_id, p.since) = (n.sensor_id, n.since) AND p.until <> n.until

-- name: note_changed_validity
-- The area figures of these sensors (null: of all) must be made anew.
INSERT INTO changed_validity (sensor_id, areas) SELECT unnest(%(sensor_id)s::text[]), true

-- name: note_placed
-- The same of sensors that were placed, where only one vintage has places that are new of that alone.
INSERT INTO changed_validity (sensor_id, areas, vintage)
SELECT DISTINCT sensor_id, true, CASE WHEN cardinality(vintages) = 1 THEN vintages[1] END
FROM unnest(%(sensor_id)s::text[]) sensor_id, (SELECT array_agg(DISTINCT v) AS vintages FROM unnest(%(vintage)s::integer[]) v) n

-- name: mark_changed_validity
-- Mark the hours in which those sensors are expected, from each hour that they have until their next one. Of what changed
-- the newest moment stays, for exports; of areas alone nothing.
WITH taken AS (
    DELETE FROM changed_validity c USING (SELECT DISTINCT sensor_id, quantity FROM changed_validity WHERE NOT marked) n
    WHERE (coalesce(c.sensor_id, ''), coalesce(c.quantity, '')) = (coalesce(n.sensor_id, ''), coalesce(n.quantity, ''))
    RETURNING c.*
), changed AS (
    SELECT sensor_id, quantity, max(made_at) FILTER (WHERE NOT areas) AS made_at,
           CASE WHEN count(DISTINCT coalesce(vintage, 0)) FILTER (WHERE NOT marked) = 1 THEN min(vintage) END AS vintage
    FROM taken GROUP BY sensor_id, quantity
), kept AS (
    INSERT INTO changed_validity (sensor_id, quantity, made_at, marked)
    SELECT sensor_id, quantity, made_at, true FROM changed WHERE made_at IS NOT NULL
), chosen AS (
    SELECT DISTINCT s.series, s.quantity, c.vintage FROM changed c {of_changed} WHERE EXISTS (SELECT FROM area_load)
)
INSERT INTO area_mark (hour, quantity, vintage)
SELECT DISTINCT g.hour, w.quantity, w.vintage
FROM (SELECT c.quantity, c.vintage, w.start, w.next FROM chosen c CROSS JOIN LATERAL (
          SELECT start, lead(start) OVER (ORDER BY start) AS next FROM window_1h WHERE series = c.series) w) w
CROSS JOIN LATERAL (SELECT {expected_until} AS until FROM rollup) e
CROSS JOIN LATERAL generate_series(w.start, greatest(w.start, e.until - interval '1 hour'), '1 hour') g (hour)

-- name: of_changed
-- The series s that a change c of validity is about, by the index over their sensors.
CROSS JOIN LATERAL (
    SELECT * FROM series WHERE sensor_id = c.sensor_id AND quantity = coalesce(c.quantity, quantity)
    UNION ALL SELECT * FROM series WHERE c.sensor_id IS NULL AND quantity = coalesce(c.quantity, quantity)
) s

-- name: mark_rolled_hours
-- The hours that this roll-up wrote, for the areas, where there are any; and of late ones those until the sensor's next
-- hour, in which it is expected from now on.
INSERT INTO area_mark (hour, quantity)
SELECT d.start, s.quantity FROM dirty d JOIN series s USING (series) WHERE EXISTS (SELECT FROM area_load)
UNION
SELECT g.hour, l.quantity
FROM (
    SELECT DISTINCT s.quantity, w.start, {expected_until} AS until
    FROM dirty w JOIN series s USING (series) JOIN rollup ON w.start < closed_until - interval '1 hour'
    CROSS JOIN LATERAL (SELECT min(n.start) AS next FROM window_1h n WHERE n.series = w.series AND n.start > w.start) n
    WHERE EXISTS (SELECT FROM area_load)
) l
CROSS JOIN LATERAL generate_series(l.start, l.until - interval '1 hour', '1 hour') g (hour)

-- name: expected_until
-- Until when a sensor with an hour at w.start, and then none before `next`, is expected, at most: see `expected_sensors`.
least(next, closed_until, w.start + interval '29 days')

-- name: plan_for_areas
-- For statements over many sensors and hours, whose rows the planner cannot estimate through the views.
SELECT set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true)

-- name: take_area_marks
-- The marks of the newest marked day, which is looked at first, and one quantity of it, of one vintage, or (null) of several
-- or all: delete what this statement sees, read the figures later.
WITH newest AS (
    SELECT quantity, date_trunc('day', hour, 'UTC') AS day FROM area_mark ORDER BY hour DESC LIMIT 1
), taken AS (
    DELETE FROM area_mark m USING newest o
    WHERE m.quantity = o.quantity AND m.hour >= o.day AND m.hour < o.day + interval '1 day'
    RETURNING m.quantity, m.vintage, m.hour
)
SELECT t.quantity, CASE WHEN count(DISTINCT coalesce(t.vintage, 0)) = 1 THEN min(t.vintage) END, min(t.hour), max(t.hour), date_trunc('day', min(t.hour), min(q.zone)),
       date_trunc('day', max(t.hour), min(q.zone))
FROM taken t JOIN quantity q USING (quantity) GROUP BY t.quantity

-- name: roll_areas
-- The windows of areas of a level, <level> being 1h or 1d, out of those of the sensors that are expected in them.
WITH m AS MATERIALIZED ({area_members}), f AS MATERIALIZED (
    SELECT * FROM sensor_<level> WHERE quantity = %(quantity)s AND start >= %(first)s AND start <= %(last)s
), t AS MATERIALIZED (
    SELECT DISTINCT start, "end", CASE '<level>' WHEN '1h' THEN date_trunc('day', start, 'UTC') ELSE start END AS day FROM f
), e AS MATERIALIZED ({expected_sensors}), figure AS MATERIALIZED (
    SELECT {area_figures}
    FROM t JOIN e ON e.day = t.day AND e.since < t."end"
    JOIN m ON m.sensor_id = e.sensor_id AND t.start >= m.since AND t.start < m.until
    JOIN quantity q ON q.quantity = %(quantity)s
    LEFT JOIN f ON f.sensor_id = m.sensor_id AND f.start = t.start
    GROUP BY m.area, t.start HAVING count(f.sensor_id) > 0
), found AS MATERIALIZED ({find_panels}), made AS (
    INSERT INTO panel (members) SELECT members FROM found WHERE panel IS NULL RETURNING panel, members
)
INSERT INTO area_<level> AS a ({area_columns})
SELECT {area_columns}
FROM figure JOIN (SELECT * FROM found WHERE panel IS NOT NULL UNION ALL SELECT * FROM made) p USING (members)
ON CONFLICT (vintage, code, quantity, start) DO UPDATE SET {replace_area_figures};
-- Rows that this transaction did not make: their sensors are gone.
DELETE FROM area_<level> WHERE quantity = %(quantity)s AND start >= %(first)s AND start <= %(last)s AND computed_at < now()
  AND {of_vintage}

-- name: expected_sensors
-- The sensors that measure a quantity in a window t: they had an hour in it, or before it in the four weeks until the
-- beginning of its day. One that was silent for longer is taken for removed.
SELECT s.sensor_id, d.day, min(w.start) AS since
FROM (SELECT day, max("end") AS until FROM t GROUP BY day) d
CROSS JOIN series s
CROSS JOIN LATERAL (SELECT w.start FROM window_1h w
                    WHERE w.series = s.series AND w.start >= d.day - interval '28 days' AND w.start < d.until
                    ORDER BY w.start LIMIT 1) w
WHERE s.quantity = %(quantity)s AND s.head IS NOT NULL AND s.period <= CASE '<level>' WHEN '1d' THEN 90000 ELSE 3600 END
GROUP BY s.sensor_id, d.day

-- name: area_members
-- Which sensor belongs to which area, with numbers for both: sorting a million rows by text takes twice as long.
SELECT vintage, code, sensor_id, since, until, dense_rank() OVER (ORDER BY vintage, code)::integer AS area,
       dense_rank() OVER (ORDER BY sensor_id COLLATE "C")::integer AS place
FROM sensor_area WHERE {of_vintage}

-- name: find_panels
-- The numbers of the sets of sensors, null of new ones. Each is looked up by itself: there may be millions. Who makes areas
-- has `lock_areas`; without it two that make the same set refuse one another, and nobody has a second number for it.
SELECT (SELECT p.panel FROM panel p WHERE p.members = g.members) AS panel, members FROM (SELECT DISTINCT members FROM figure) g

-- name: of_vintage
-- Whether an area is of the vintage that is made; null: of all.
(%(vintage)s::integer IS NULL OR vintage = %(vintage)s)

-- name: area_columns
-- The columns of an area window.
vintage, code, quantity, start, sensors, valid_sensors, value, estimate, minimum, maximum, readings, flagged, failed,
coverage, valid, status, panel

-- name: area_figures
-- The figures of an area in a window t, f of those of its sensors m that have one: over the valid ones, which are named.
min(m.vintage) AS vintage, min(m.code) AS code, min(q.quantity) AS quantity, t.start, count(*)::integer AS sensors,
(count(*) FILTER (WHERE f.valid))::integer AS valid_sensors,
CASE min(q.aggregation) WHEN 'sum' THEN sum(f.value) FILTER (WHERE f.valid) ELSE avg(f.value) FILTER (WHERE f.valid) END AS value,
CASE min(q.aggregation) WHEN 'sum' THEN sum(f.estimate) FILTER (WHERE f.valid) END AS estimate,
min(f.minimum) FILTER (WHERE f.valid) AS minimum, max(f.maximum) FILTER (WHERE f.valid) AS maximum,
sum(f.readings)::bigint AS readings, sum(f.flagged)::bigint AS flagged, sum(f.failed)::bigint AS failed,
CASE WHEN bool_and(f.sensor_id IS NULL OR f.coverage IS NOT NULL) THEN avg(coalesce(f.coverage, 0)) END AS coverage,
CASE min(q.aggregation) WHEN 'sum' THEN bool_and(coalesce(f.valid, false)) ELSE bool_or(coalesce(f.valid, false)) END AS valid, min(f.status) AS status,
coalesce(array_agg(f.sensor_id ORDER BY m.place) FILTER (WHERE f.valid), '{}') AS members

-- name: replace_area_figures
-- The figures of an area window that is there already become the new ones.
sensors = excluded.sensors, valid_sensors = excluded.valid_sensors, value = excluded.value, estimate = excluded.estimate,
minimum = excluded.minimum, maximum = excluded.maximum, readings = excluded.readings, flagged = excluded.flagged,
failed = excluded.failed, coverage = excluded.coverage, valid = excluded.valid, status = excluded.status,
panel = excluded.panel, members = NULL, computed_at = now(), revision = a.revision + 1
