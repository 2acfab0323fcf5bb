-- Of these sensors: what kind they are, and the areas of the newest vintage they stand in.
SELECT n.sensor_id, n.kind, coalesce(array_agg(a.code) FILTER (WHERE a.code IS NOT NULL), '{}')
FROM sensor n
LEFT JOIN sensor_area a ON a.sensor_id = n.sensor_id AND a.vintage = (SELECT max(vintage) FROM area) AND a.until = 'infinity'
WHERE n.sensor_id = ANY(%(sensors)s)
GROUP BY n.sensor_id, n.kind
