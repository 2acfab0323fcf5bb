-- Register what a batch says of its sensors: what was imported by hand is only completed, a known layout beats a guess.
INSERT INTO sensor AS s (sensor_id, source, name, kind, lon, lat, lanes, inferred, interval)
SELECT sensor_id, split_part(sensor_id, '/', 1), name, kind, lon, lat, lanes, inferred, interval
FROM unnest(%(sensor_id)s::text[], %(name)s::text[], %(kind)s::text[], %(lon)s::float8[], %(lat)s::float8[],
            %(lanes)s::int[], %(inferred)s::bool[], %(interval)s::float8[])
     AS n (sensor_id, name, kind, lon, lat, lanes, inferred, interval)
ORDER BY sensor_id
ON CONFLICT (sensor_id) DO UPDATE SET
    name     = CASE WHEN s.catalogued THEN coalesce(s.name, excluded.name) ELSE coalesce(excluded.name, s.name) END,
    kind     = CASE WHEN s.catalogued THEN coalesce(s.kind, excluded.kind) ELSE coalesce(excluded.kind, s.kind) END,
    lon      = CASE WHEN s.catalogued THEN coalesce(s.lon, excluded.lon) ELSE coalesce(excluded.lon, s.lon) END,
    lat      = CASE WHEN s.catalogued THEN coalesce(s.lat, excluded.lat) ELSE coalesce(excluded.lat, s.lat) END,
    interval = coalesce(s.interval, excluded.interval),
    inferred = CASE WHEN excluded.lanes IS NULL OR s.catalogued AND s.lanes IS NOT NULL
                      OR excluded.inferred AND s.lanes IS NOT NULL AND NOT s.inferred THEN s.inferred ELSE excluded.inferred END,
    lanes    = CASE WHEN excluded.lanes IS NULL OR s.catalogued AND s.lanes IS NOT NULL
                      OR excluded.inferred AND s.lanes IS NOT NULL AND NOT s.inferred THEN s.lanes ELSE excluded.lanes END
