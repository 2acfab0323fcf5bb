-- The series of sensors.
SELECT s.sensor_id, s.quantity, s.channel, s.period, q.unit, q.aggregation, n.source, n.lon, n.lat
FROM series s JOIN sensor n USING (sensor_id) JOIN quantity q USING (quantity)
WHERE {in_scope}
  AND (%(quantities)s::text[] IS NULL OR s.quantity = ANY(%(quantities)s))
  AND (%(after_sensor_id)s::text IS NULL OR (s.sensor_id, s.quantity, s.channel, s.period)
      > (%(after_sensor_id)s, %(after_quantity)s::text, %(after_channel)s::text, %(after_period)s::integer))
ORDER BY s.sensor_id, s.quantity, s.channel, s.period LIMIT %(limit)s
