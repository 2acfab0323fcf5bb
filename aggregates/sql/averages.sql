-- Averages over days of a kind, as `aggregates.ask.averages` runs it.

-- name: list_averages
-- Averages of some series over units that are a day or an hour, in the order of the list. <view> is sensor_1d, sensor_1h, or
-- an aggregate_*.
WITH {units}, figure AS ({figures_of_windows}), {averages_of_units} {averages_of_sensors}

-- name: list_averages_of_parts
-- Averages over units that are a part of a day, several hours.
WITH {units}, figure AS ({figures_of_parts}), {averages_of_units} {averages_of_sensors}

-- name: averages_of_sensors
-- The averages with their sensors, those behind a key.
SELECT s.sensor_id, c.channel, s.quantity, c.period, q.unit, %(day_kind)s::text, a.begin, a."end", a.hour, {average},
       a.date, a.local_start, a.left_out, n.lon, n.lat
FROM averages a JOIN series s USING (series) JOIN sensor n USING (sensor_id) JOIN quantity q USING (quantity)
CROSS JOIN LATERAL (SELECT CASE %(kind)s WHEN 'aggregate' THEN s.channel ELSE '' END AS channel,
                           CASE %(kind)s WHEN 'aggregate' THEN s.period ELSE 0 END AS period) c
WHERE (a.rank = 1 OR NOT %(busiest)s)
  AND (%(after_sensor_id)s::text IS NULL OR (s.sensor_id COLLATE "C", c.channel COLLATE "C", c.period, a.begin, a.hour)
      > (%(after_sensor_id)s, %(after_channel)s::text, %(after_period)s::bigint, %(after_start)s::timestamptz, %(after_hour)s::bigint))
ORDER BY s.sensor_id COLLATE "C", c.channel COLLATE "C", c.period, a.begin, a.hour LIMIT %(limit)s

-- name: choose_area_series
-- The figures of areas of a vintage, null the newest, of a level and of codes, null of any; in the form of `choose_series`.
SELECT s.series, s.code, '', s.quantity, q.unit, 3600, q.zone, true, NULL::float8, NULL::float8
FROM area_series s JOIN area a USING (vintage, code) JOIN quantity q USING (quantity)
WHERE s.vintage = {vintage_or_newest} AND s.quantity = %(quantity)s AND (%(level)s::text IS NULL OR a.level = %(level)s)
  AND (%(codes)s::text[] IS NULL OR s.code = ANY (%(codes)s)) ORDER BY s.code

-- name: list_area_averages
-- The same of areas, by their numbers. <view> is area_numbered_1d or area_numbered_1h.
WITH {units}, figure AS ({figures_of_windows}), {averages_of_units} {averages_of_areas}

-- name: list_area_averages_of_parts
-- The same over units that are a part of a day.
WITH {units}, figure AS ({figures_of_parts}), {averages_of_units} {averages_of_areas}

-- name: averages_of_areas
-- The averages with their areas, those behind a key.
SELECT n.vintage, n.code, n.level, n.name, s.quantity, q.unit, %(day_kind)s::text, a.begin, a."end", a.hour, {average},
       a.date, a.local_start, a.left_out
FROM averages a JOIN area_series s USING (series) JOIN area n USING (vintage, code) JOIN quantity q USING (quantity)
WHERE (a.rank = 1 OR NOT %(busiest)s)
  AND (%(after_code)s::text IS NULL OR (n.code, a.begin, a.hour)
      > (%(after_code)s, %(after_start)s::timestamptz, %(after_hour)s::bigint))
ORDER BY n.code, a.begin, a.hour LIMIT %(limit)s

-- name: average
-- The figures of an average a.
a.value, a.estimate, a.total, a.minimum, a.maximum, a.days, a.valid_days, a.valid

-- name: units
-- The starts of the stored windows, and the units that they make together; `seq` numbers those at one place of the answer:
-- a window, of a profile one hour in it.
start AS MATERIALIZED (
    SELECT * FROM unnest(%(start)s::timestamptz[], %(unit)s::integer[], %(date)s::date[], %(place)s::integer[],
                         %(window)s::date[], %(begin)s::timestamptz[], %(end)s::timestamptz[], %(hour)s::integer[],
                         %(local_start)s::text[]) AS s (start, unit, date, place, "window", begin, "end", hour, local_start)
), unit AS MATERIALIZED (
    SELECT unit, place, date, count(*)::integer AS parts, row_number() OVER (PARTITION BY place ORDER BY unit) AS seq
    FROM start GROUP BY unit, place, date
), place AS MATERIALIZED (
    SELECT DISTINCT place, "window" AS date, begin, "end", hour, local_start FROM start
)

-- name: averages_of_units
-- Of those the averages, with what was left out and why; `rank` tells the greatest of each window, of the valid ones if any.
asked AS MATERIALIZED (
    SELECT c.series, u.place, count(*) AS days FROM unnest(%(series)s::integer[]) AS c (series) CROSS JOIN unit u GROUP BY 1, 2
), part AS MATERIALIZED (
    SELECT p.*, u.place, u.seq, u.date, p.estimate * u.parts AS whole_estimate, q.aggregation,
           CASE WHEN p.coverage IS NULL THEN 'coverage not known'
                WHEN u.parts = 1 AND p.valid OR u.parts > 1 AND p.whole AND p.coverage >= n.needed THEN NULL
                WHEN p.whole OR p.coverage < n.needed OR q.hours IS NOT NULL THEN 'too little covered'
                WHEN %(kind)s = 'area_numbered' THEN 'a sensor is missing or not valid'
                ELSE 'a lane is missing or not known' END AS reason
    FROM figure p JOIN unit u USING (unit) CROSS JOIN quantity q
    CROSS JOIN LATERAL (SELECT q.coverage * u.parts - 1e-9 AS needed) n  -- a sum of shares is not exact
    WHERE q.quantity = %(quantity)s
), average AS MATERIALIZED (
    SELECT series, place, count(*) AS measured, count(*) FILTER (WHERE reason IS NULL) AS valid_days,
           sum(value * weight) FILTER (WHERE reason IS NULL)
           / nullif(sum(weight) FILTER (WHERE reason IS NULL AND value IS NOT NULL), 0) AS value,
           avg(whole_estimate) FILTER (WHERE reason IS NULL) AS estimate,
           sum(value) FILTER (WHERE aggregation = 'sum') AS total,
           min(value) FILTER (WHERE reason IS NULL) AS minimum, max(value) FILTER (WHERE reason IS NULL) AS maximum
    FROM part GROUP BY series, place
), gap AS (
    SELECT series, place, reason, min(date) AS first, max(date) AS last
    FROM (
        SELECT *, seq - row_number() OVER (PARTITION BY series, place, reason ORDER BY seq) AS gap
        FROM (
            SELECT series, place, seq, date, reason FROM part WHERE reason IS NOT NULL
            UNION ALL
            SELECT a.series, a.place, u.seq, u.date, 'not measured'
            FROM asked a LEFT JOIN average m USING (series, place) JOIN unit u USING (place)
            WHERE m.measured IS DISTINCT FROM a.days
              AND NOT EXISTS (SELECT FROM part p WHERE p.series = a.series AND p.unit = u.unit)
        ) left_out
    ) numbered
    GROUP BY series, place, reason, gap
), left_out AS (
    SELECT series, place, string_agg(first || CASE WHEN first < last THEN ' to ' || last ELSE '' END || ' ' || reason,
                                     ', ' ORDER BY first, last) AS left_out
    FROM gap GROUP BY series, place
), known AS (
    SELECT a.series, p.*, m.value, m.estimate, m.total, m.minimum, m.maximum, a.days, coalesce(m.valid_days, 0) AS valid_days,
           coalesce(l.left_out, '') AS left_out, m.value IS NOT NULL AND m.valid_days >= %(enough)s * a.days AS valid
    FROM asked a JOIN place p USING (place) LEFT JOIN average m USING (series, place) LEFT JOIN left_out l USING (series, place)
), averages AS (
    SELECT *, row_number() OVER (PARTITION BY series, date ORDER BY valid DESC, value DESC NULLS LAST, hour) AS rank FROM known
)

-- name: windows_of_units
-- Windows of the series, and the units that they are of.
<view> v JOIN start s USING (start)
WHERE v.series = ANY (%(series)s::integer[]) AND v.start >= %(first)s AND v.start <= %(last)s
  AND (%(area)s::text IS NULL OR {stood_in_area})

-- name: figures_of_windows
-- Units of one window each: it is their figure. All weigh the same, but speeds, by vehicles.
SELECT v.series, s.unit, v.value, v.estimate, CASE q.aggregation WHEN 'weighted_mean' THEN v.weight ELSE 1 END AS weight, v.coverage, v.valid,
       v.valid AS whole
FROM (SELECT aggregation FROM quantity WHERE quantity = %(quantity)s) q, {windows_of_units}

-- name: figures_of_parts
-- Units of several windows: sums are added up, and of what is missing the others say how much it was; means are means of
-- what is valid. `whole`: where a window is covered, every lane of it is.
SELECT v.series, s.unit,
       CASE min(q.aggregation)
           WHEN 'sum' THEN sum(v.value)
           WHEN 'mean' THEN avg(v.value) FILTER (WHERE v.valid)
           ELSE sum(v.value * v.weight) FILTER (WHERE v.valid) / nullif(sum(v.weight) FILTER (WHERE v.valid), 0) END AS value,
       avg(v.estimate) AS estimate,
       CASE min(q.aggregation) WHEN 'weighted_mean' THEN sum(v.weight) FILTER (WHERE v.valid) ELSE 1 END AS weight,
       CASE WHEN bool_and(v.coverage IS NOT NULL) THEN sum(v.coverage) END AS coverage,
       bool_and(v.valid) AS valid, bool_and(v.valid OR v.coverage < q.coverage) AS whole
FROM (SELECT coverage, aggregation FROM quantity WHERE quantity = %(quantity)s) q, {windows_of_units}
GROUP BY v.series, s.unit
