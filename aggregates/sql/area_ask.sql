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

-- name: count_placements
-- For each vintage: how many sensors lie in, between and outside its areas.
SELECT p.vintage, p.status, count(*), min(p.sensor_id || coalesce(' (' || round(p.distance) || ' m from ' || p.nearest || ')', ''))
FROM placement p
WHERE p.since = (SELECT max(since) FROM placement l WHERE (l.vintage, l.sensor_id) = (p.vintage, p.sensor_id))
GROUP BY p.vintage, p.status ORDER BY p.vintage, p.status

-- name: count_area_marks
-- How many hours wait for the area figures, and how many parts are loaded.
SELECT count(*), (SELECT count(*) FROM area_load) FROM area_mark
