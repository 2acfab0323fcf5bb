-- One area of the newest vintage, and how many sensors stand in it.
SELECT a.code, a.name, a.level, a.vintage, (
    SELECT count(DISTINCT m.sensor_id) FROM sensor_area m
    WHERE m.vintage = a.vintage AND m.code = a.code AND m.until = 'infinity') AS sensors
FROM area a WHERE a.code = %(code)s ORDER BY a.vintage DESC LIMIT 1
