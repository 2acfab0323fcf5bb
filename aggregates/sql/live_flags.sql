-- The flags of one sensor's readings since `first`, by hour.
SELECT date_trunc('hour', r.start, 'UTC') AS hour, r.flags, count(*)
FROM reading r JOIN series s USING (series)
WHERE s.sensor_id = %(sensor)s AND s.quantity = %(quantity)s AND r.start >= %(first)s AND r.flags <> 0
GROUP BY 1, 2 ORDER BY 1, 2
