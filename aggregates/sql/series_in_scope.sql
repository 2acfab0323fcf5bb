-- The numbers of the series asked for, and their sensors in order: first, so that the rows are found by an index.
SELECT coalesce(array_agg(s.series ORDER BY s.sensor_id, s.quantity, s.channel, s.period), '{}') AS series,
       coalesce(array_agg(DISTINCT s.sensor_id ORDER BY s.sensor_id), '{}') AS sensors
FROM series s JOIN sensor n USING (sensor_id)
WHERE {in_scope} AND (%(quantities)s::text[] IS NULL OR s.quantity = ANY(%(quantities)s))
  AND (%(after_sensor_id)s::text IS NULL OR s.sensor_id >= %(after_sensor_id)s)
