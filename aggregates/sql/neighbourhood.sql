-- Readings with a value around the dirty hours of series that have neighbour rules: `judged` are those near enough to a
-- dirty hour for a verdict, the others only bear witness.
WITH span AS (
    SELECT series, sensor_id, quantity, unnest(range_agg(tstzrange(d.start - q.memory * interval '2 seconds',
        d.start + interval '1 hour' + q.memory * interval '2 seconds'))) AS span, q.memory * interval '1 second' AS memory
    FROM dirty d JOIN series s USING (series) JOIN quantity q USING (quantity)
    WHERE q.memory > 0 GROUP BY series, sensor_id, quantity, q.memory
)
SELECT p.series, (extract(epoch FROM r.start) * 1000000)::bigint, r.value, r.flags, r.status, p.quantity, p.sensor_id,
       n.overrides -> p.quantity, r.start >= lower(p.span) + p.memory AND r.start < upper(p.span) - p.memory
FROM span p JOIN reading r ON r.series = p.series AND r.start >= lower(p.span) AND r.start < upper(p.span)
JOIN sensor n USING (sensor_id)
WHERE r.value IS NOT NULL AND r.flags & 7 = 0 AND r.start >= %(first)s AND r.start < %(last)s
ORDER BY p.series, p.span, r.start
