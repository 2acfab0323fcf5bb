-- Of sensors heard of within `reach`, and while that was news: when last, how many intervals ago (of the series that misses
-- fewest), and how many seconds its newest stamp lies after its receipt. Sensors whose interval nobody knows are left out.
SELECT sensor_id, (extract(epoch FROM max(heard)) * 1000000)::bigint,
       min(extract(epoch FROM %(now)s - heard) / every)::float8, max(extract(epoch FROM heard - received_at))::float8
FROM (
    SELECT s.sensor_id, coalesce(nullif(s.period, 0), n.interval) AS every, r.received_at,
           r.start + make_interval(secs => s.period) AS heard
    FROM series s JOIN sensor n USING (sensor_id) CROSS JOIN LATERAL (
        SELECT r.start, r.received_at FROM reading r
        WHERE r.series = s.series AND r.start > %(now)s - %(reach)s::interval ORDER BY r.start DESC LIMIT 1
    ) r
    WHERE coalesce(nullif(s.period, 0), n.interval) > 0
) h
WHERE received_at - heard < greatest(make_interval(secs => 3 * every), interval '10 minutes')
GROUP BY sensor_id
