-- What is known of one sensor.
SELECT n.sensor_id, n.name, n.kind, n.lanes, s.title, s.class, s.licence,
       (SELECT array_agg(DISTINCT quantity ORDER BY quantity) FROM series WHERE sensor_id = n.sensor_id) AS quantities
FROM sensor n LEFT JOIN source s USING (source) WHERE n.sensor_id = %(sensor)s
