-- Rules about absence, and what is due by the clock, as `streams.alerts.clock` runs it.

-- name: read_alert_clock
-- Until when each level is judged.
SELECT level, judged FROM alert_clock

-- name: read_closed_until
-- Until when hours are closed.
SELECT closed_until FROM rollup

-- name: advance_alert_clock
-- A level is judged until here; never moved back.
INSERT INTO alert_clock AS c (level, judged) VALUES (%(level)s, %(judged)s)
ON CONFLICT (level) DO UPDATE SET judged = greatest(c.judged, excluded.judged)

-- name: list_newest_readings
-- Of sensors with a reading within `reach` that was new when it came: when it ended, how many intervals ago (of the series
-- that misses fewest), and how many seconds its newest stamp lies after its receipt. Sensors whose interval is unknown
-- are left out, and those that are in no catalogue and said less than five things: anybody can make such sensors.
SELECT sensor_id, (extract(epoch FROM max(ended)) * 1000000)::bigint,
       min(extract(epoch FROM %(now)s - ended) / every)::float8, max(extract(epoch FROM ended - received_at))::float8
FROM (
    SELECT s.sensor_id, coalesce(nullif(s.period, 0), n.interval) AS every, r.received_at,
           r.start + make_interval(secs => s.period) AS ended
    FROM series s JOIN sensor n USING (sensor_id) CROSS JOIN LATERAL (
        SELECT r.start, r.received_at FROM reading r
        WHERE r.series = s.series AND r.start > %(now)s - %(reach)s::interval ORDER BY r.start DESC LIMIT 1
    ) r
    WHERE coalesce(nullif(s.period, 0), n.interval) > 0
      AND (n.catalogued OR EXISTS (
          SELECT FROM reading o WHERE o.series = s.series AND o.start > %(now)s - %(reach)s::interval
          ORDER BY o.start DESC OFFSET 4 LIMIT 1))
) h
WHERE received_at - ended < greatest(make_interval(secs => 3 * every), interval '10 minutes')
GROUP BY sensor_id

-- name: read_coverage_today
-- How much of the closed hours of today each sensor covered, by its worst quantity; those that are new today are left out.
SELECT sensor_id, (extract(epoch FROM %(first)s) * 1000000)::bigint, min(covered)
FROM (
    SELECT sensor_id, quantity, sum(coverage) / (extract(epoch FROM %(until)s - %(first)s) / 3600) AS covered
    FROM sensor_1h WHERE start >= %(first)s AND start < %(until)s
    GROUP BY sensor_id, quantity HAVING bool_and(coverage IS NOT NULL)
) c JOIN sensor n USING (sensor_id)
WHERE n.registered_at < %(first)s
GROUP BY sensor_id
