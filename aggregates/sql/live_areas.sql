-- The newest window of every area of the newest vintage, as JSON by level; <view> is area_hour or area_day.
WITH newest AS (
    SELECT DISTINCT ON (code) code, value, estimate, coverage, valid, start, "end", flagged, failed, sensors, valid_sensors
    FROM <view>
    WHERE quantity = %(quantity)s AND start >= %(oldest)s AND start <= %(now)s AND "end" > %(after)s
      AND vintage = (SELECT max(vintage) FROM area)
    ORDER BY code, ("end" <= %(now)s AND (valid OR "end" <= %(settled)s)) DESC, start DESC
), judged AS (
    SELECT a.code, a.level, n.value, n.estimate, n.coverage, n.start, n."end", n.flagged, n.failed, n.sensors, n.valid_sensors,
        CASE WHEN n.value IS NULL THEN 'missing' WHEN n."end" > %(now)s THEN 'running'
             WHEN n.valid THEN 'valid' ELSE 'invalid' END AS state
    FROM area a LEFT JOIN newest n USING (code)
    WHERE a.vintage = (SELECT max(vintage) FROM area)
)
SELECT level, json_agg(json_build_array(
           code, state, round(value::numeric, 3), round(coverage::numeric, 3), date_part('epoch', start)::bigint,
           date_part('epoch', "end")::bigint, flagged, failed, round(estimate::numeric, 3), sensors, valid_sensors
       ) ORDER BY code)::text AS rows,
       percentile_disc(ARRAY[0.02, 0.95]) WITHIN GROUP (ORDER BY value) AS spread
FROM judged GROUP BY level
