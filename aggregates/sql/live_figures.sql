-- The newest window of every sensor that measures a quantity, as one JSON text; <view> is sensor_*.
-- A window that ended after `settled` and is not valid waits for its last readings: a judged one goes before it.
WITH newest AS (
    SELECT DISTINCT ON (sensor_id) sensor_id, value, estimate, coverage, valid, start, "end", readings, nothing,
           flagged, failed, warned
    FROM <view>
    WHERE quantity = %(quantity)s AND start >= %(oldest)s AND start <= %(now)s AND "end" > %(after)s
    ORDER BY sensor_id, ("end" <= %(now)s AND (valid OR "end" <= %(settled)s)) DESC, start DESC
), judged AS (
    SELECT sensor_id, n.value, n.estimate, n.coverage, n.start, n."end", n.flagged, n.warned, n.failed, CASE
        WHEN n.start IS NULL THEN 'missing'
        WHEN n.value IS NULL AND n.nothing > 0 THEN 'nothing'
        WHEN n.value IS NULL THEN 'failed'
        WHEN n."end" > %(now)s THEN 'running'
        WHEN n.valid THEN 'valid' ELSE 'invalid' END AS state
    FROM ({live_measuring}) k
    LEFT JOIN newest n USING (sensor_id)
)
SELECT coalesce(json_agg(json_build_array(
           sensor_id, state, round(value::numeric, 3), round(coverage::numeric, 3), date_part('epoch', start)::bigint,
           date_part('epoch', "end")::bigint, flagged + warned, failed, round(estimate::numeric, 3)
       ) ORDER BY sensor_id), '[]')::text AS rows,
       percentile_disc(ARRAY[0.02, 0.95]) WITHIN GROUP (ORDER BY value) AS spread
FROM judged
