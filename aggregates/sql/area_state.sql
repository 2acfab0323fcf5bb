-- For each vintage: how its sensors lie.
SELECT p.vintage, p.status, count(*), min(p.sensor_id || coalesce(' (' || round(p.distance) || ' m from ' || p.nearest || ')', ''))
FROM placement p
WHERE p.since = (SELECT max(since) FROM placement l WHERE (l.vintage, l.sensor_id) = (p.vintage, p.sensor_id))
GROUP BY p.vintage, p.status ORDER BY p.vintage, p.status
