-- What is asked of areas: their windows, their statistics, and how sensors lie in them.

-- name: read_newest_vintage
-- The newest vintage that is loaded.
SELECT max(vintage) FROM area

-- name: read_area_vintage
-- The vintage asked for, else the newest that has the area.
SELECT coalesce(%(vintage)s::integer, max(vintage)) FROM area WHERE code = %(area)s

-- name: list_areas
-- Areas by code, those without a boundary among them; null asks for the newest vintage. `aggregates.ask.listings` adds the
-- point.
SELECT a.vintage, a.code, a.level, a.name, a.municipality, a.derived,
       (SELECT count(*) FROM sensor_area m
        WHERE m.vintage = a.vintage AND m.code = a.code AND m.until = 'infinity') AS sensors, NULL AS lon, NULL AS lat,
       (SELECT json_object_agg(s.measure, s.value) FROM area_statistic s JOIN measure USING (measure)
        WHERE s.vintage = a.vintage AND s.code = a.code) AS statistics, a.geometry
FROM area a
WHERE a.vintage = {vintage_or_newest} AND (%(level)s::text IS NULL OR a.level = %(level)s)
  AND (%(after_code)s::text IS NULL OR a.code > %(after_code)s)
  AND (%(area)s::text IS NULL OR a.code = %(area)s OR a.municipality = %(area)s
       OR a.level = 'buurt' AND 'WK' || substr(a.code, 3, 6) = %(area)s)
  AND (%(codes)s::text[] IS NULL OR a.code = ANY(%(codes)s))
ORDER BY a.code LIMIT %(limit)s

-- name: vintage_or_newest
-- The vintage asked for, else the newest that is loaded.
coalesce(%(vintage)s::integer, (SELECT max(vintage) FROM area))

-- name: list_boundaries
-- The boundaries of areas; null asks for the newest vintage, and for all of them.
SELECT code, geometry FROM area
WHERE vintage = {vintage_or_newest} AND geometry IS NOT NULL
  AND (%(codes)s::text[] IS NULL OR code = ANY(%(codes)s))

-- name: area_windows, planned each time
-- The windows of areas, packed: a row for each area, quantity and set of named sensors, its windows as the bytes of
-- `aggregates.ask.areas.WINDOW`, for a month of areas is a million rows. <view> is area_panel_1h or area_panel_1d.
SELECT {named_area_windows}
FROM (SELECT {packed_area_windows} FROM <view> WHERE {area_windows_in_scope} GROUP BY {of_one_area}) p ORDER BY code, quantity

-- name: page_of_area_windows, planned each time
-- The same of at most `limit` windows behind one, by an index.
SELECT {named_area_windows}
FROM (
    SELECT {packed_area_windows}
    FROM (
        SELECT * FROM <view>
        WHERE {area_windows_in_scope} AND (%(after_code)s::text IS NULL OR (code, quantity, start)
              > (%(after_code)s, %(after_quantity)s::text, %(after_start)s::timestamptz))
        ORDER BY code, quantity, start LIMIT %(limit)s
    ) w
    GROUP BY {of_one_area}
) p ORDER BY code, quantity

-- name: named_area_windows
-- Packed windows p with the names of their sensors, which are looked up once for each set.
code, quantity, level, name, unit, coalesce(named, (SELECT members FROM panel WHERE panel = p.panel)) AS members, windows

-- name: of_one_area
-- What the windows of one area, quantity and set of sensors share.
code, quantity, level, name, unit, panel, named

-- name: packed_area_windows
-- That, and its windows as bytes.
{of_one_area}, string_agg(timestamptz_send(start) || timestamptz_send("end") || float8send(coalesce(value, 'NaN'))
    || float8send(coalesce(estimate, 'NaN')) || float8send(coalesce(minimum, 'NaN')) || float8send(coalesce(maximum, 'NaN'))
    || float8send(coalesce(coverage, 'NaN')) || int8send(readings) || int8send(flagged) || int8send(failed)
    || int4send(sensors) || int4send(valid_sensors) || int4send(revision) || int4send(valid::integer)
    || timestamptz_send(computed_at), ''::bytea) AS windows

-- name: area_windows_in_scope
-- Whether a window is one of those asked for; every condition but range and vintage is left out by null.
start >= %(first)s AND start < %(last)s AND vintage = %(vintage)s
AND (%(quantities)s::text[] IS NULL OR quantity = ANY(%(quantities)s))
AND (%(level)s::text IS NULL OR level = %(level)s) AND (%(codes)s::text[] IS NULL OR code = ANY(%(codes)s))
AND (%(coverage)s::float8 IS NULL OR coverage >= %(coverage)s) AND (%(valid)s::boolean IS NULL OR valid = %(valid)s)

-- name: list_area_measures
-- Measures of areas, in the order asked for, each with the reason why it is null; and, where shapes are asked for, their
-- boundaries.
SELECT m.code, array(SELECT (to_jsonb(m) ->> w)::float8 FROM unnest(%(measures)s::text[]) WITH ORDINALITY u (w, at) ORDER BY at),
       array(SELECT to_jsonb(m) ->> (w || '_reason') FROM unnest(%(measures)s::text[]) WITH ORDINALITY u (w, at) ORDER BY at),
       CASE WHEN %(shapes)s THEN (SELECT geometry FROM area a WHERE (a.vintage, a.code) = (m.vintage, m.code)) END
FROM area_measures m WHERE m.vintage = %(vintage)s AND m.code = ANY(%(codes)s)

-- name: heavy_share, planned each time
-- The vehicles of each sensor in an area whose class was told, and the heavy ones among them, over the hours in which every
-- class of it was valid, of two periods by the one that covers more; the class `any` is the total of the others. A sensor that
-- has no heavy class is left out. Beside them all classes seen there, null without any window; where no sensor has such an hour
-- they stand alone.
WITH told AS MATERIALIZED (
    SELECT DISTINCT ON (v.sensor_id, v.start, v.channel)
           v.sensor_id, v.start, v.channel, v.value, v.valid, split_part(v.channel, '/', 2) AS class
    FROM aggregate_1h v
    WHERE v.series = ANY (%(series)s::integer[]) AND v.start >= %(first)s AND v.start < %(last)s AND {stood_in_area}
    ORDER BY v.sensor_id, v.start, v.channel, v.coverage DESC NULLS LAST, v.period
), class AS (
    SELECT * FROM told WHERE class NOT IN ('', 'any')
), known AS (
    SELECT sensor_id, count(DISTINCT channel) AS channels FROM class GROUP BY sensor_id HAVING bool_or(class = ANY (%(heavy)s))
), whole AS (
    SELECT sensor_id, start, coalesce(sum(value), 0) AS vehicles,
           coalesce(sum(value) FILTER (WHERE class = ANY (%(heavy)s)), 0) AS heavy
    FROM class JOIN known USING (sensor_id) GROUP BY sensor_id, start, channels HAVING bool_and(valid) AND count(*) = channels
)
SELECT s.*, k.seen
FROM (SELECT CASE WHEN count(*) > 0 THEN coalesce(array_agg(DISTINCT class) FILTER (WHERE class NOT IN ('', 'any')), '{}') END AS seen
      FROM told) k
LEFT JOIN (SELECT sensor_id, sum(heavy) AS heavy, sum(vehicles) AS vehicles, count(*) AS windows,
                  sum(heavy) / nullif(sum(vehicles), 0) AS share
           FROM whole GROUP BY sensor_id) s ON true
ORDER BY s.sensor_id COLLATE "C"

-- name: week_profile, planned each time
-- The mean of the valid hours of an area by hour of the week in a time zone, Monday 00 first, and how many they are.
SELECT h AS hour_of_week, avg(v.value) AS mean, count(v.value) AS hours,
       (ARRAY['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'])[h / 24 + 1] || ' ' || to_char(h %% 24, 'FM00') AS label
FROM generate_series(0, 167) h LEFT JOIN (
    SELECT value, start AT TIME ZONE %(zone)s AS here FROM area_hour WHERE valid AND {hour_of_area}
) v ON h = 24 * (extract(isodow FROM here)::integer - 1) + extract(hour FROM here)::integer
GROUP BY h ORDER BY h

-- name: hours_above, planned each time
-- The valid hours above a threshold of each sensor that stood in an area, and of the area's own mean, and how many there
-- are; with the share of the period that is not measured. A value is compared as it is stored, not rounded.
SELECT subject, count(*) FILTER (WHERE value > %(threshold)s) AS above, count(value) AS valid, p.hours,
       1 - count(value) / nullif(p.hours, 0)::float8 AS not_measured, %(threshold)s::float8 AS threshold
FROM (
    SELECT v.sensor_id AS subject, CASE WHEN v.valid THEN v.value END AS value FROM sensor_1h v
    WHERE v.series = ANY (%(series)s::integer[]) AND v.start >= %(first)s AND v.start < %(last)s AND {stood_in_area}
    UNION ALL
    SELECT code, CASE WHEN valid THEN value END FROM area_hour WHERE {hour_of_area}
) v, (SELECT (ceil(extract(epoch FROM %(last)s::timestamptz) / 3600)
              - ceil(extract(epoch FROM %(first)s::timestamptz) / 3600))::integer AS hours) p  -- that start in the range
GROUP BY subject, p.hours ORDER BY subject = %(area)s, subject COLLATE "C"

-- name: panel_index, planned each time
-- Days of an area compared with those of a base, until `base_to`, by the same sensors: base = 100. The panel are the sensors
-- with valid days on at least the share `least` of the days of the base, and of those after it; where one of them is not
-- valid a day has no index.
WITH day AS MATERIALIZED (
    SELECT v.sensor_id, v.start, CASE WHEN v.valid THEN v.value END AS value, v.start < %(base_to)s AS in_base FROM sensor_1d v
    WHERE v.series = ANY (%(series)s::integer[]) AND v.start >= %(first)s AND v.start < %(last)s AND {stood_in_area}
), length AS (
    SELECT in_base, count(DISTINCT start)::float8 AS days FROM day GROUP BY in_base
), panel AS MATERIALIZED (
    SELECT sensor_id FROM (SELECT DISTINCT sensor_id FROM day) s WHERE NOT EXISTS (
        SELECT FROM length l WHERE (SELECT count(value) FROM day d WHERE (d.sensor_id, d.in_base) = (s.sensor_id, l.in_base))
                                   < %(least)s * l.days)
), size AS (
    SELECT count(*) AS panel, string_agg(sensor_id, ' ' ORDER BY sensor_id COLLATE "C") AS members FROM panel
), whole AS (
    SELECT start, in_base, CASE WHEN count(p.value) = min(s.panel) THEN sum(p.value) END AS value
    FROM day CROSS JOIN size s CROSS JOIN LATERAL (
        SELECT CASE WHEN sensor_id IN (SELECT sensor_id FROM panel) THEN value END AS value) p
    GROUP BY start, in_base
), base AS (
    SELECT avg(value) FILTER (WHERE in_base) AS level FROM whole
)
SELECT w.start, CASE WHEN b.level > 0 THEN 100 * w.value / b.level END AS index, s.panel, s.members,
       (w.start AT TIME ZONE q.zone)::date AS date
FROM whole w CROSS JOIN base b CROSS JOIN size s JOIN quantity q ON q.quantity = %(quantity)s ORDER BY w.start

-- name: hour_of_area
-- Whether an hour is one of an area in a range.
code = %(area)s AND vintage = %(vintage)s AND quantity = %(quantity)s AND start >= %(first)s AND start < %(last)s

-- name: list_area_findings
-- What `doctor` says of areas, as `list_findings`: what is loaded, what waits, and how the sensors of each vintage lie.
SELECT 10 AS place, 'areas' AS what, %(no_areas)s AS found, null::boolean AS good WHERE NOT EXISTS (SELECT FROM area_load)
UNION ALL
SELECT 11, format('areas %%s %%s', vintage, municipality), format('%%s: %%s', part, title), null FROM area_load
UNION ALL
SELECT 12, 'area hours waiting', format('%%s marks', count(*)), count(*) < 100000 FROM area_mark
HAVING EXISTS (SELECT FROM area_load)
UNION ALL
SELECT 13, format('sensors %%s %%s', p.vintage, p.status), format('%%s, as %%s: %%s', count(*),
       min(p.sensor_id || coalesce(' (' || round(p.distance) || ' m from ' || p.nearest || ')', '')), min(CASE p.status
           WHEN 'inside' THEN 'in one area'
           WHEN 'border' THEN 'on a border, in the first of its areas by code'
           WHEN 'overlap' THEN 'where areas overlap, in the one it lies deepest in'
           WHEN 'gap' THEN 'in no area, within 250 m of one: a gap of the map, not snapped'
           ELSE 'in no area that is loaded' END)), null
FROM placement p WHERE p.until = 'infinity'
GROUP BY p.vintage, p.status
