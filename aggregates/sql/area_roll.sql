-- The windows of areas of a level, <level> being 1h or 1d, out of those of their sensors.
WITH m AS MATERIALIZED ({area_members})
INSERT INTO area_<level> AS a ({area_columns})
SELECT {area_figures}
FROM sensor_<level> f JOIN quantity q USING (quantity)
JOIN m ON m.sensor_id = f.sensor_id AND f.start >= m.since AND f.start < m.until
WHERE f.quantity = %(quantity)s AND f.start >= %(first)s AND f.start <= %(last)s
GROUP BY m.area, f.start
ON CONFLICT (vintage, code, quantity, start) DO UPDATE SET {area_anew};
-- Rows that this transaction did not make: their sensors are gone.
DELETE FROM area_<level> WHERE quantity = %(quantity)s AND start >= %(first)s AND start <= %(last)s AND computed_at < now()
