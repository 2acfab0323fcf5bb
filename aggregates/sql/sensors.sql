SELECT sensor_id, name, kind, lon, lat, lanes, inferred, catalogued,
       (SELECT count(*) FROM series s WHERE s.sensor_id = n.sensor_id) AS series
FROM sensor n
WHERE (%(source)s::text IS NULL OR source = %(source)s) AND sensor_id > %(after)s
ORDER BY sensor_id LIMIT %(limit)s
