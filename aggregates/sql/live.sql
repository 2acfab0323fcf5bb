-- The live page, as `aggregates.ask.live` runs it.

-- name: live_pulse
-- Values that change when something was committed that the live page shows: one cheap row.
SELECT (SELECT coalesce(sum(received), 0)::bigint FROM accounting) AS received,
       (SELECT closed_until FROM rollup) AS closed_until,
       (SELECT version FROM catalogue) AS catalogue,
       (SELECT min(mark) FROM mark) AS oldest_mark, (SELECT max(mark) FROM mark) AS newest_mark,
       (SELECT min(hour) FROM area_mark) AS oldest_area_hour, (SELECT max(loaded_at) FROM area_load) AS areas_loaded

-- name: live_choices
-- Quantities to choose from, by how many sensors measure them.
SELECT quantity, count(DISTINCT sensor_id) AS sensors, min(period) AS shortest
FROM series WHERE channel !~ '^index' GROUP BY quantity ORDER BY 2 DESC, 1

-- name: live_levels
-- The levels of the newest vintage's areas that have a boundary, the largest first.
SELECT level FROM area WHERE geometry IS NOT NULL AND vintage = (SELECT max(vintage) FROM area)
GROUP BY level ORDER BY array_position(ARRAY['gemeente', 'wijk', 'buurt'], level)

-- name: live_places
-- Every sensor that measures a quantity, and where it stands, as one JSON text.
SELECT coalesce(json_agg(json_build_array(sensor_id, name, lon, lat) ORDER BY sensor_id), '[]')::text
FROM sensor
WHERE sensor_id IN ({live_measuring})

-- name: live_measuring
-- The sensors that measure a quantity in windows of `length`, and sensors of their kinds without any series.
SELECT sensor_id FROM series WHERE quantity = %(quantity)s AND period <= %(length)s AND NOT starts_with(channel, 'index')
-- Those without are few: the kinds, which take as long as all else, are looked for where there are any.
UNION
SELECT sensor_id FROM (
    SELECT sensor_id, kind FROM sensor n
    WHERE NOT EXISTS (SELECT FROM series s WHERE s.sensor_id = n.sensor_id) OFFSET 0) n
WHERE kind = ANY (ARRAY(
    SELECT DISTINCT k.kind FROM series s JOIN sensor k USING (sensor_id)
    WHERE s.quantity = %(quantity)s AND s.period <= %(length)s))

-- name: live_figures
-- The newest window of every sensor that measures a quantity, as one JSON text; <view> is sensor_*.
-- A window that ended after `settled` and is not valid waits for its last readings: a judged one goes before it. Where
-- windows that have ended are asked for, one that still runs has no figures.
WITH newest AS (
    SELECT DISTINCT ON (sensor_id) sensor_id, valid, start, "end", nothing, flagged, warned, lanes, lanes_expected,
           CASE WHEN {live_shown} THEN value END AS value, CASE WHEN {live_shown} THEN estimate END AS estimate,
           CASE WHEN {live_shown} THEN coverage END AS coverage
    FROM <view>
    WHERE quantity = %(quantity)s AND start > %(oldest)s AND start < %(now)s AND "end" > %(after)s
    ORDER BY sensor_id, ("end" <= %(now)s AND (valid OR "end" <= %(settled)s)) DESC, start DESC
{live_sensors}

-- name: live_range
-- The same of every hour from `since` to `now` together; <view> is sensor_1h.
WITH newest AS (
    SELECT w.sensor_id, {live_hours_together}, sum(w.nothing) AS nothing, sum(w.warned) AS warned,
           count(*) FILTER (WHERE w.valid) AS lanes, {live_range_hours} AS lanes_expected
    FROM <view> w JOIN quantity q USING (quantity)
    WHERE w.quantity = %(quantity)s AND w.start >= %(since)s AND w.start < %(now)s
    GROUP BY w.sensor_id, q.quantity
{live_sensors}

-- name: live_sensors
-- What `newest` found of every sensor that measures the quantity, as JSON text.
), judged AS (
    SELECT sensor_id AS id, n.value, n.estimate, n.coverage, n.start, n."end", n.flagged + n.warned AS flags,
           n.lanes AS seen, n.lanes_expected AS expected, CASE
        WHEN n.start IS NULL THEN 'missing'
        WHEN n."end" > %(now)s AND NOT %(running)s THEN 'running'
        WHEN n.value IS NULL AND n.nothing > 0 THEN 'nothing'
        WHEN n.value IS NULL THEN 'failed'
        WHEN n."end" > %(now)s THEN 'running'
        WHEN n.valid THEN 'valid' ELSE 'invalid' END AS state
    FROM ({live_measuring}) k
    LEFT JOIN newest n USING (sensor_id)
    ORDER BY id
)
SELECT json_build_object({live_columns})::text FROM judged

-- name: live_columns
-- What was found, in its order, as the columns of a JSON object, which take less time than rows to write and to read.
-- Rounded as numbers, for `numeric` is slow.
    'id', coalesce(json_agg(id), '[]'), 'state', json_agg(state), 'value', json_agg(round(value * 1000) / 1000),
    'coverage', json_agg(round(coverage * 1000) / 1000), 'start', json_agg(date_part('epoch', start)::bigint),
    'end', json_agg(date_part('epoch', "end")::bigint), 'flags', json_agg(flags), 'estimate', json_agg(
        CASE WHEN state = 'running' THEN round(estimate * 1000) / 1000 END),
    'seen', json_agg(seen), 'expected', json_agg(expected)

-- name: live_shown
-- Whether a window has figures to show.
(%(running)s OR "end" <= %(now)s)

-- name: live_areas
-- The same of every area of the newest vintage, by level; <view> is area_panel_1h or area_panel_1d.
WITH newest AS (
    SELECT DISTINCT ON (code) code, valid, start, "end", flagged, sensors, valid_sensors, valid_sensors AS each_of,
           CASE WHEN {live_shown} THEN value END AS value, CASE WHEN {live_shown} THEN estimate END AS estimate,
           CASE WHEN {live_shown} THEN coverage END AS coverage
    FROM <view>
    WHERE quantity = %(quantity)s AND start > %(oldest)s AND start < %(now)s AND "end" > %(after)s
      AND vintage = (SELECT max(vintage) FROM area)
    ORDER BY code, ("end" <= %(now)s AND (valid OR "end" <= %(settled)s)) DESC, start DESC
{live_all_areas}

-- name: live_area_range
-- The same of every hour from `since` to `now` together; <view> is area_panel_1h.
WITH newest AS (
    SELECT w.code, {live_hours_together}, {live_range_hours} AS sensors,
           count(*) FILTER (WHERE w.valid) AS valid_sensors, avg(nullif(w.valid_sensors, 0))::float AS each_of
    FROM <view> w JOIN quantity q USING (quantity)
    WHERE w.quantity = %(quantity)s AND w.start >= %(since)s AND w.start < %(now)s
      AND w.vintage = (SELECT max(vintage) FROM area)
    GROUP BY w.code, q.quantity
{live_all_areas}

-- name: live_hours_together
-- Windows w of a quantity q, which are hours, as one: the sum of counts, the mean of what is no count. It is valid where
-- such a share of the hours is as an hour needs of its minutes.
%(since)s::timestamptz AS start, %(now)s::timestamptz AS "end",
CASE q.aggregation WHEN 'sum' THEN sum(w.value) ELSE avg(w.value) END AS value,
CASE q.aggregation WHEN 'sum' THEN sum(w.estimate) END AS estimate,
CASE WHEN bool_and(w.coverage IS NOT NULL) THEN sum(w.coverage) / {live_range_hours} END AS coverage,
count(*) FILTER (WHERE w.valid) >= q.coverage * {live_range_hours} AS valid,
sum(w.flagged) AS flagged

-- name: live_range_hours
-- How many hours there are from `since` to `now`.
(date_part('epoch', %(now)s::timestamptz - %(since)s::timestamptz) / 3600)::integer

-- name: live_all_areas
-- What `newest` found of every area of the newest vintage, as JSON text.
), judged AS (
    SELECT a.code AS id, a.level, n.value, n.estimate, n.coverage, n.start, n."end", n.flagged AS flags,
           n.valid_sensors AS seen, n.sensors AS expected, n.each_of,
        CASE WHEN n."end" > %(now)s THEN 'running' WHEN n.value IS NULL THEN 'missing'
             WHEN n.valid THEN 'valid' ELSE 'invalid' END AS state
    FROM area a LEFT JOIN newest n USING (code)
    WHERE a.vintage = (SELECT max(vintage) FROM area)
    ORDER BY level, id
)
SELECT coalesce(json_object_agg(level, found), '{}')::text
FROM (SELECT level, json_build_object({live_columns}, 'sensors', json_agg(each_of)) AS found FROM judged GROUP BY level) l

-- name: live_measures
-- The measures that the newest vintage's areas have values of, as an area can be coloured by.
SELECT DISTINCT measure FROM area_statistics
WHERE vintage = (SELECT max(vintage) FROM area) AND value IS NOT NULL AND title IS NOT NULL ORDER BY measure

-- name: live_statistic
-- One measure of every area of a level of the newest vintage, as one JSON text.
SELECT json_build_object('unit', min(unit), 'period', min(period), 'values',
                         coalesce(json_object_agg(code, value) FILTER (WHERE value IS NOT NULL), '{}'))::text
FROM area_statistics
WHERE vintage = (SELECT max(vintage) FROM area) AND level = %(level)s AND measure = %(measure)s

-- name: live_shapes
-- Areas of one level of the newest vintage.
SELECT code, name, geometry FROM area
WHERE vintage = (SELECT max(vintage) FROM area) AND level = %(level)s ORDER BY code

-- name: live_sensor
-- A sensor, its hours since the day before, and its flags of the day, as one JSON text; <view> is sensor_1h.
WITH hour AS (
    SELECT start, value, coverage, valid, nothing, flagged, failed, warned, start AT TIME ZONE %(zone)s AS local,
           lanes AS seen, lanes_expected AS expected
    FROM <view>
    WHERE sensor_id = %(id)s AND quantity = %(quantity)s AND start >= %(yesterday)s AND start < %(tomorrow)s
      AND start <= %(now)s
), flag AS (
    SELECT to_char(date_trunc('hour', r.start AT TIME ZONE %(zone)s), %(form)s) AS hour, r.flags, count(*) AS readings
    FROM reading r JOIN series s USING (series)
    WHERE s.sensor_id = %(id)s AND s.quantity = %(quantity)s AND r.start >= %(today)s AND r.start < %(tomorrow)s AND r.flags <> 0
    GROUP BY 1, 2
)
SELECT json_build_object(
    'kind', 'sensor', 'id', n.sensor_id, 'name', n.name, 'source', s.title, 'class', s.class, 'licence', s.licence,
    'area', (SELECT json_build_array(a.code, a.name, t.value) FROM sensor_area m JOIN area a USING (vintage, code)
             LEFT JOIN area_statistics t ON (t.vintage, t.code, t.measure) = (a.vintage, a.code, 'inhabitants')
             WHERE m.sensor_id = n.sensor_id AND m.until = 'infinity' AND a.vintage = (SELECT max(vintage) FROM area)
             ORDER BY length(a.code) DESC LIMIT 1),
    'indoor', n.indoor, 'lanes', n.lanes, 'parts', (
        SELECT CASE WHEN bool_or(channel ~ '^(lft|rgt)') THEN 'directions'
                    WHEN bool_or(channel ~ '^(lane|hardshoulder)') OR n.lanes > 1 THEN 'lanes' END
        FROM series WHERE sensor_id = n.sensor_id),
    'quantities', (SELECT coalesce(json_agg(DISTINCT quantity), '[]') FROM series
                   WHERE sensor_id = n.sensor_id AND channel !~ '^index'),
    'hours', (SELECT {live_hours} FROM hour),
    'flags', (SELECT coalesce(json_agg(json_build_array(hour, readings, flags) ORDER BY hour, flags), '[]') FROM flag))::text
FROM sensor n LEFT JOIN source s USING (source) WHERE n.sensor_id = %(id)s

-- name: live_hours
-- Hours as JSON rows: days ago, local hour, state, value, coverage, whether readings are flagged, whether some failed,
-- how many lanes or sensors it is of how many, and its start in s since 1970.
coalesce(json_agg(json_build_array(
    (%(today)s::timestamptz AT TIME ZONE %(zone)s)::date - local::date, extract(hour FROM local), CASE
        WHEN value IS NULL AND nothing > 0 THEN 'nothing' WHEN value IS NULL THEN 'failed'
        WHEN start > %(now)s::timestamptz - interval '1 hour' THEN 'running' WHEN valid THEN 'valid' ELSE 'invalid' END,
    value, coverage, flagged + warned > 0, failed > 0, seen, expected, extract(epoch FROM start)::bigint) ORDER BY start), '[]')

-- name: live_area
-- An area of the newest vintage, its hours since the day before, its CBS statistics by theme (a null has its reason), and
-- each that has a value in any vintage with the values, as one JSON text.
WITH hour AS (
    SELECT start, value, coverage, valid, 0 AS nothing, flagged, failed, 0 AS warned, start AT TIME ZONE %(zone)s AS local,
           valid_sensors AS seen, sensors AS expected
    FROM area_1h
    WHERE code = %(id)s AND vintage = (SELECT max(vintage) FROM area WHERE code = %(id)s)
      AND quantity = %(quantity)s AND start >= %(yesterday)s AND start < %(tomorrow)s
      AND start <= %(now)s
)
SELECT json_build_object(
    'kind', 'area', 'id', a.code, 'name', a.name, 'level', a.level, 'vintage', a.vintage,
    'sensors', (SELECT count(*) FROM sensor_area m
                WHERE m.vintage = a.vintage AND m.code = a.code AND m.until = 'infinity'),
    'members', (SELECT coalesce(json_agg(json_build_array(n.sensor_id, coalesce(n.name, n.sensor_id)) ORDER BY n.name), '[]')
                FROM sensor n WHERE n.sensor_id IN (
                    SELECT m.sensor_id FROM sensor_area m
                    WHERE m.vintage = a.vintage AND m.code = a.code AND m.until = 'infinity')),
    'hours', (SELECT {live_hours} FROM hour),
    'vintages', (
        SELECT coalesce(json_agg(json_build_array(measure, title, found) ORDER BY theme, title), '[]') FROM (
            SELECT measure, title, theme, json_object_agg(vintage, json_build_array(value, unit, period)) AS found
            FROM area_statistics WHERE code = a.code AND value IS NOT NULL AND title IS NOT NULL
            GROUP BY measure, title, theme) v),
    'statistics', (
        SELECT coalesce(json_agg(row_to_json(t) ORDER BY theme, title), '[]') FROM (
            SELECT coalesce(theme, 'general') AS theme, title, measure, value, unit, period,
                   coalesce(attribute, content) AS reason
            FROM area_statistics WHERE code = a.code AND vintage = a.vintage AND title IS NOT NULL) t))::text
FROM area a WHERE a.code = %(id)s ORDER BY a.vintage DESC LIMIT 1

-- name: live_silent
-- Sensors whose newest window is older than three of their periods and a quarter of an hour, the longest silent first; of
-- those without any the catalogue's. One that ended more than eight days ago, as in an old file, is not expected any more.
SELECT n.sensor_id, n.name, max(last.start) AS last
FROM sensor n LEFT JOIN series s USING (sensor_id)
LEFT JOIN LATERAL (SELECT start FROM window_5m w WHERE w.series = s.series AND w.start > %(now)s - interval '8 days'
                   ORDER BY start DESC LIMIT 1) last ON true
GROUP BY n.sensor_id, n.name, n.catalogued
HAVING CASE WHEN count(s.series) = 0 THEN n.catalogued ELSE
           max(last.start) < %(now)s - make_interval(secs => greatest(900, 3 * coalesce(min(greatest(s.period, n.interval)), 0))) END
ORDER BY last NULLS FIRST, n.sensor_id
