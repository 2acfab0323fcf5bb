-- A year of air beside the limits of laws, as `aggregates.ask.limits` runs it.

-- name: list_limits, planned each time
-- Sensors with a valid hour, each beside every limit of a quantity, by sensor, law and statistic. `value` is the mean, or of
-- hours and days the percentile that the allowed number leaves below: 25 of 365 days are the 93.2nd, by nearest rank.
-- `exceeded` is null where too little was measured to say it: more above than allowed is known also then. <view> is sensor_1h.
WITH law AS (
    SELECT * FROM unnest(%(law)s::text[], %(statistic)s::text[], %(threshold)s::float8[], %(allowed)s::integer[],
                         %(capture)s::float8[], %(decimals)s::integer[])
        AS l (law, statistic, threshold, allowed, capture, decimals)
), {statistics_of_year}, year_of AS MATERIALIZED (
    SELECT sensor_id, statistic, count(*) AS windows, count(value) AS valid_windows, avg(value) AS mean, max(value) AS maximum,
           array_agg(value ORDER BY value) FILTER (WHERE value IS NOT NULL) AS ordered
    FROM figure GROUP BY sensor_id, statistic
), compared AS (
    SELECT f.*, l.law, l.statistic AS limited, l.threshold, l.allowed, a.above,
           f.valid_windows / f.windows::float8 >= l.capture AS valid,
           floor(f.mean * power(10, l.decimals) + 0.5) / power(10, l.decimals) > l.threshold AS mean_above
    FROM law l JOIN year_of f ON f.statistic = CASE l.statistic WHEN 'year' THEN 'hour' ELSE l.statistic END
    CROSS JOIN LATERAL (SELECT count(*) AS above FROM unnest(f.ordered) v (value)
                        WHERE l.statistic <> 'year' AND {rounded_half_up} > l.threshold) a
)
SELECT c.sensor_id, q.quantity, q.unit, %(year)s::integer, c.law, c.limited, c.threshold, c.allowed,
       CASE c.limited WHEN 'year' THEN mean ELSE ordered[ceil(valid_windows * (windows - allowed) / windows::float8)] END,
       c.maximum, CASE WHEN c.limited <> 'year' THEN above END,
       CASE WHEN c.limited = 'year' THEN CASE WHEN valid THEN mean_above END WHEN above > allowed THEN true WHEN valid THEN false END,
       c.valid, c.valid_windows, 1 - valid_windows / windows::float8
FROM compared c JOIN quantity q ON q.quantity = %(quantity)s
WHERE %(after_sensor_id)s::text IS NULL OR (c.sensor_id COLLATE "C", c.law COLLATE "C", c.limited COLLATE "C")
      > (%(after_sensor_id)s, %(after_law)s::text, %(after_statistic)s::text)
ORDER BY c.sensor_id COLLATE "C", c.law COLLATE "C", c.limited COLLATE "C" LIMIT %(limit)s

-- name: rounded_half_up
-- A value v as it is compared with a limit l: rounded in the last step.
floor(v.value * power(10, l.decimals) + 0.5) / power(10, l.decimals)

-- name: statistics_of_year
-- The values of a year that a limit is compared with, null where one is not valid: its hours, of which the mean of the year
-- is made, the means of its days, and the greatest 8-hour mean that ends on each day. Of 8 hours 6 must be valid, of a day
-- `least`, and as many 8-hour means.
measured AS MATERIALIZED (
    SELECT v.sensor_id, v.start, v.value FROM <view> v
    WHERE v.series = ANY (%(series)s::integer[]) AND v.start >= %(first)s::timestamptz - interval '7 hours'
      AND v.start < %(last)s AND v.valid AND (%(area)s::text IS NULL OR {stood_in_area})
), hours AS MATERIALIZED (
    SELECT s.sensor_id, h.start, m.value
    FROM (SELECT DISTINCT sensor_id FROM measured) s
    CROSS JOIN generate_series(%(first)s::timestamptz - interval '7 hours', %(last)s::timestamptz - interval '1 hour', '1 hour') h (start)
    LEFT JOIN measured m ON m.sensor_id = s.sensor_id AND m.start = h.start
), eights AS (
    SELECT sensor_id, start, CASE WHEN count(value) OVER w >= 6 THEN avg(value) OVER w END AS value
    FROM hours WHERE EXISTS (SELECT FROM law WHERE statistic = 'day8')
    WINDOW w AS (PARTITION BY sensor_id ORDER BY start ROWS 7 PRECEDING)
), figure AS (
    SELECT sensor_id, 'hour' AS statistic, value FROM hours WHERE start >= %(first)s
    UNION ALL
    SELECT sensor_id, 'day', CASE WHEN count(value) >= %(least)s THEN avg(value) END
    FROM hours WHERE start >= %(first)s GROUP BY sensor_id, date_bin('1 day', start, %(first)s)
    UNION ALL
    SELECT sensor_id, 'day8', CASE WHEN count(value) >= %(least)s THEN max(value) END
    FROM eights WHERE start >= %(first)s GROUP BY sensor_id, date_bin('1 day', start, %(first)s)
)
