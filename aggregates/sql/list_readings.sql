-- Readings of the series found, as they are stored.
SELECT s.sensor_id, s.quantity, s.channel, s.period, q.unit, r.start,
       r.start + make_interval(secs => s.period) AS "end", r.value, r.weight, r.covers, r.flags, r.status,
       CASE WHEN r.version > 0 THEN '1970-01-01 00:00+00'::timestamptz + r.version * interval '1 microsecond' END AS version,
       r.received_at
FROM reading r JOIN series s USING (series) JOIN quantity q USING (quantity)
WHERE r.series = ANY(%(found)s) AND r.start >= %(first)s AND r.start < %(last)s
  AND (%(after_sensor_id)s::text IS NULL OR (s.sensor_id, s.quantity, s.channel, s.period, r.start)
      > (%(after_sensor_id)s, %(after_quantity)s::text, %(after_channel)s::text, %(after_period)s::integer,
         %(after_start)s::timestamptz))
ORDER BY s.sensor_id, s.quantity, s.channel, s.period, r.start LIMIT %(limit)s
