-- Sensors whose newest window is older than three of their periods and a quarter of an hour, the longest silent first.
SELECT n.sensor_id, n.name, max(last.start) AS last
FROM sensor n LEFT JOIN series s USING (sensor_id)
LEFT JOIN LATERAL (SELECT start FROM window_5m w WHERE w.series = s.series ORDER BY start DESC LIMIT 1) last ON true
GROUP BY n.sensor_id, n.name
HAVING coalesce(max(last.start), '-infinity')
       < %(now)s - make_interval(secs => greatest(900, 3 * coalesce(min(greatest(s.period, n.interval)), 0)))
ORDER BY last NULLS FIRST, n.sensor_id
