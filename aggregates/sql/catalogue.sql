-- The catalogue of sensors as people import it. Its version tells a writer that what it knows of series is old.

-- name: import_sensors
-- Write what is given over what is known of the sensors; what is left out stays. Where limits change, the hours that are
-- stored are marked, so that the rules about neighbours are applied again.
WITH known AS (
    SELECT sensor_id, overrides FROM sensor WHERE sensor_id = ANY(%(sensor_id)s)
), written AS (INSERT INTO sensor AS s (sensor_id, source, name, kind, lon, lat, indoor, lanes, interval, overrides,
    channels, catalogued)
SELECT sensor_id, split_part(sensor_id, '/', 1), name, kind, lon, lat, indoor, lanes, interval, coalesce(overrides, '{}'),
       array_replace(string_to_array(channels, ' '), '-', ''), true
FROM unnest(%(sensor_id)s::text[], %(name)s::text[], %(kind)s::text[], %(lon)s::float8[], %(lat)s::float8[],
            %(indoor)s::bool[], %(lanes)s::int[], %(interval)s::float8[], %(overrides)s::jsonb[], %(channels)s::text[])
     AS n (sensor_id, name, kind, lon, lat, indoor, lanes, interval, overrides, channels)
ORDER BY sensor_id
ON CONFLICT (sensor_id) DO UPDATE SET
    name       = coalesce(excluded.name, s.name),
    kind       = coalesce(excluded.kind, s.kind),
    lon        = coalesce(excluded.lon, s.lon),
    lat        = coalesce(excluded.lat, s.lat),
    indoor     = coalesce(excluded.indoor, s.indoor),
    lanes      = coalesce(excluded.lanes, s.lanes),
    inferred   = s.inferred AND excluded.lanes IS NULL,
    interval   = coalesce(excluded.interval, s.interval),
    overrides  = s.overrides || excluded.overrides,
    channels   = coalesce(excluded.channels, s.channels),
    catalogued = true
RETURNING sensor_id, overrides)
INSERT INTO mark (hour, members)
SELECT w.start, array_agg(w.series) FROM written n JOIN known k USING (sensor_id)
JOIN series s USING (sensor_id) JOIN window_1h w USING (series) WHERE n.overrides <> k.overrides GROUP BY w.start

-- name: advance_catalogue_version
-- The sensors changed; seen when they are.
UPDATE catalogue SET version = version + 1

-- name: read_catalogue_version
-- How often an import has changed the sensors.
SELECT version FROM catalogue
