-- Whose sensors the hub holds.
SELECT DISTINCT source FROM sensor WHERE EXISTS (SELECT FROM series s WHERE s.sensor_id = sensor.sensor_id) ORDER BY 1
