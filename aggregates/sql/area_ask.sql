-- What is asked of areas: their windows, their statistics, and how sensors lie in them.

-- name: read_newest_vintage
-- The newest vintage that is loaded.
SELECT max(vintage) FROM area

-- name: read_area_vintage
-- The vintage asked for, else the newest that has the area.
SELECT coalesce(%(vintage)s::integer, max(vintage)) FROM area WHERE code = %(area)s

-- name: list_areas
-- Areas by code, those without a boundary among them; the place is a point that certainly lies in the area.
SELECT a.vintage, a.code, a.level, a.name, a.municipality, a.derived, a.geometry,
       (SELECT count(DISTINCT m.sensor_id) FROM sensor_area m
        WHERE m.vintage = a.vintage AND m.code = a.code AND m.until = 'infinity') AS sensors,
       (SELECT json_object_agg(s.measure, s.value) FROM area_statistic s JOIN measure USING (measure)
        WHERE s.vintage = a.vintage AND s.code = a.code) AS statistics
FROM area a
WHERE a.vintage = %(vintage)s AND (%(level)s::text IS NULL OR a.level = %(level)s) AND a.code > %(after)s
  AND (%(area)s::text IS NULL OR a.code = %(area)s OR a.municipality = %(area)s
       OR a.level = 'buurt' AND 'WK' || substr(a.code, 3, 6) = %(area)s)
ORDER BY a.code LIMIT %(limit)s

-- name: area_windows
-- The windows of areas, packed: a row for each area and set of named sensors, its windows as the bytes of
-- `aggregates.ask.areas.WINDOW`, for a month of areas is a million rows. <view> is area_hour or area_day.
SELECT code, name, level, unit, array_to_string(members, ' ') AS members,
       string_agg(int8send(date_part('epoch', start)::bigint)
           || int8send(date_part('epoch', "end")::bigint) || float8send(coalesce(value, 'NaN'))
           || float8send(coalesce(estimate, 'NaN')) || float8send(coalesce(minimum, 'NaN'))
           || float8send(coalesce(maximum, 'NaN')) || float8send(coalesce(coverage, 'NaN')) || int8send(readings)
           || int8send(flagged) || int8send(failed) || int4send(sensors) || int4send(valid_sensors) || int4send(revision)
           || int4send(valid::integer), ''::bytea) AS windows
FROM <view>
WHERE quantity = %(quantity)s AND start >= %(first)s AND start < %(last)s
  AND vintage = %(vintage)s AND (%(level)s::text IS NULL OR level = %(level)s)
  AND (%(code)s::text IS NULL OR code = %(code)s)
GROUP BY code, name, level, unit, members

-- name: list_area_statistics
-- The statistics that stand beside the windows.
SELECT code, measure, value, attribute, vintage FROM area_statistics
WHERE vintage = %(vintage)s AND measure = ANY(%(measures)s) AND (%(level)s::text IS NULL OR level = %(level)s)

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
FROM placement p
WHERE p.since = (SELECT max(since) FROM placement l WHERE (l.vintage, l.sensor_id) = (p.vintage, p.sensor_id))
GROUP BY p.vintage, p.status
