-- How many readings of an hour do not move, of sensors that have a flag; 272 are the two flags that say so.
SELECT s.sensor_id, s.quantity, (extract(epoch FROM date_trunc('hour', r.start, 'UTC')) * 1000000)::bigint, count(*)
FROM series s JOIN reading r USING (series)
WHERE s.sensor_id = ANY(%(sensors)s) AND r.start >= %(first)s AND r.start < %(last)s AND r.flags & 272 <> 0
GROUP BY 1, 2, 3
