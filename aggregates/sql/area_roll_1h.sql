WITH m AS MATERIALIZED ({area_members})
INSERT INTO area_1h AS a ({area_columns})
SELECT {area_figures}
FROM sensor_1h f JOIN quantity q USING (quantity)
JOIN m ON m.sensor_id = f.sensor_id AND f.start >= m.since AND f.start < m.until
WHERE f.quantity = %(quantity)s AND f.start >= %(first)s AND f.start <= %(last)s
GROUP BY m.area, f.start
ON CONFLICT (vintage, code, quantity, start) DO UPDATE SET {area_anew}
