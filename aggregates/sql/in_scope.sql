-- Whether a sensor n is one of those asked for; every condition is left out by null. `ever`: it was in the area once.
(%(source)s::text IS NULL OR n.source = %(source)s)
AND (%(sensors)s::text[] IS NULL OR n.sensor_id = ANY(%(sensors)s))
AND (%(west)s::float8 IS NULL OR n.lon BETWEEN %(west)s AND %(east)s AND n.lat BETWEEN %(south)s AND %(north)s)
AND (%(area)s::text IS NULL OR EXISTS (
    SELECT FROM sensor_area m
    WHERE m.sensor_id = n.sensor_id AND m.code = %(area)s AND (m.until = 'infinity' OR %(ever)s) AND m.vintage = {vintage_of_area}))
