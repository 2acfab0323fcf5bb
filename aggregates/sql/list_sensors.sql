-- Sensors by id, those without a place among them.
SELECT n.sensor_id, n.source, n.name, n.kind, n.lon, n.lat, n.lanes, n.inferred, n.catalogued,
       (SELECT count(*) FROM series s WHERE s.sensor_id = n.sensor_id) AS series,
       array(SELECT DISTINCT s.quantity FROM series s WHERE s.sensor_id = n.sensor_id ORDER BY 1) AS quantities
FROM sensor n
WHERE {in_scope}
  AND (%(quantities)s::text[] IS NULL OR EXISTS (
      SELECT FROM series s WHERE s.sensor_id = n.sensor_id AND s.quantity = ANY(%(quantities)s)))
  AND (%(after_sensor_id)s::text IS NULL OR n.sensor_id > %(after_sensor_id)s)
ORDER BY n.sensor_id LIMIT %(limit)s
