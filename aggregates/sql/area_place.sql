INSERT INTO placement (vintage, sensor_id, since, lon, lat, status, code, nearest, distance)
SELECT %(vintage)s, * FROM unnest(%(sensor_id)s::text[], %(since)s::timestamptz[], %(lon)s::float8[], %(lat)s::float8[],
    %(status)s::text[], %(code)s::text[], %(nearest)s::text[], %(distance)s::float8[])
ON CONFLICT (vintage, sensor_id, since) DO UPDATE SET lon = excluded.lon, lat = excluded.lat, status = excluded.status,
    code = excluded.code, nearest = excluded.nearest, distance = excluded.distance
