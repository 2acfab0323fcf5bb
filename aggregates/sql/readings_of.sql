-- The readings of one source as they are stored, for whoever proves that none is missing.
SELECT sensor_id, (extract(epoch FROM start) * 1000000)::bigint AS start, value
FROM reading JOIN series USING (series) JOIN sensor USING (sensor_id) WHERE source = %(source)s
