-- Areas by code, those without a boundary among them; the place is a point that certainly lies in the area.
SELECT a.vintage, a.code, a.level, a.name, a.municipality, a.derived, a.geometry,
       (SELECT count(DISTINCT m.sensor_id) FROM sensor_area m
        WHERE m.vintage = a.vintage AND m.code = a.code AND m.until = 'infinity') AS sensors,
       (SELECT json_object_agg(s.measure, s.value) FROM area_statistic s JOIN measure USING (measure)
        WHERE s.vintage = a.vintage AND s.code = a.code) AS statistics
FROM area a
WHERE a.vintage = %(vintage)s AND (%(level)s::text IS NULL OR a.level = %(level)s) AND a.code > %(after)s
  AND (%(area)s::text IS NULL OR a.code = %(area)s OR a.municipality = %(area)s
       OR a.level = 'buurt' AND 'WK' || substr(a.code, 3, 6) = %(area)s)
ORDER BY a.code LIMIT %(limit)s
