-- Places that were not held against the boundaries of a vintage yet.
SELECT v.vintage, p.sensor_id, p.since, p.lon, p.lat
FROM (SELECT DISTINCT vintage FROM area_load WHERE part = 'boundaries') v
CROSS JOIN sensor_place p
LEFT JOIN placement l ON (l.vintage, l.sensor_id, l.since, l.lon, l.lat) = (v.vintage, p.sensor_id, p.since, p.lon, p.lat)
WHERE l.sensor_id IS NULL
ORDER BY v.vintage, p.sensor_id, p.since
