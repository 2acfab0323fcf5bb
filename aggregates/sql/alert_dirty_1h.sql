-- Sensors and hours that were rolled up, of quantities that a rule looks at.
SELECT DISTINCT s.sensor_id, d.start FROM dirty d JOIN series s USING (series)
WHERE s.quantity = ANY(%(quantities)s) AND d.start < %(until)s
