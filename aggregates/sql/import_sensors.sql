-- The catalogue, by hand: what it says stands, what it leaves out stays.
INSERT INTO sensor AS s (sensor_id, source, name, kind, lon, lat, lanes, interval, overrides, catalogued)
SELECT sensor_id, split_part(sensor_id, '/', 1), name, kind, lon, lat, lanes, interval, coalesce(overrides, '{}'), true
FROM unnest(%(sensor_id)s::text[], %(name)s::text[], %(kind)s::text[], %(lon)s::float8[], %(lat)s::float8[],
            %(lanes)s::int[], %(interval)s::float8[], %(overrides)s::jsonb[])
     AS n (sensor_id, name, kind, lon, lat, lanes, interval, overrides)
ORDER BY sensor_id
ON CONFLICT (sensor_id) DO UPDATE SET
    name       = coalesce(excluded.name, s.name),
    kind       = coalesce(excluded.kind, s.kind),
    lon        = coalesce(excluded.lon, s.lon),
    lat        = coalesce(excluded.lat, s.lat),
    lanes      = coalesce(excluded.lanes, s.lanes),
    inferred   = s.inferred AND excluded.lanes IS NULL,
    interval   = coalesce(excluded.interval, s.interval),
    overrides  = s.overrides || excluded.overrides,
    catalogued = true
