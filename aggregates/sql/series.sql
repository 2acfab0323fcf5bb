-- The sensors and series of a batch. The tables grow from nothing to a country while a session lives, and a plan kept from
-- its beginning would compare every row with every other: these statements are planned each time.

-- name: upsert_sensors, planned each time
-- Write what a batch contains about its sensors: what was imported by hand is only completed, a known layout beats a guess.
INSERT INTO sensor AS s (sensor_id, source, name, kind, lon, lat, indoor, lanes, inferred, interval)
SELECT sensor_id, split_part(sensor_id, '/', 1), name, kind, lon, lat, indoor, lanes, inferred, interval
FROM unnest(%(sensor_id)s::text[], %(name)s::text[], %(kind)s::text[], %(lon)s::float8[], %(lat)s::float8[],
            %(indoor)s::bool[], %(lanes)s::int[], %(inferred)s::bool[], %(interval)s::float8[])
     AS n (sensor_id, name, kind, lon, lat, indoor, lanes, inferred, interval)
ORDER BY sensor_id
ON CONFLICT (sensor_id) DO UPDATE SET
    name     = CASE WHEN s.catalogued THEN coalesce(s.name, excluded.name) ELSE coalesce(excluded.name, s.name) END,
    kind     = CASE WHEN s.catalogued THEN coalesce(s.kind, excluded.kind) ELSE coalesce(excluded.kind, s.kind) END,
    lon      = CASE WHEN s.catalogued THEN coalesce(s.lon, excluded.lon) ELSE coalesce(excluded.lon, s.lon) END,
    lat      = CASE WHEN s.catalogued THEN coalesce(s.lat, excluded.lat) ELSE coalesce(excluded.lat, s.lat) END,
    indoor   = CASE WHEN s.catalogued THEN coalesce(s.indoor, excluded.indoor) ELSE coalesce(excluded.indoor, s.indoor) END,
    interval = coalesce(s.interval, excluded.interval),
    inferred = CASE WHEN excluded.lanes IS NULL OR s.catalogued AND s.lanes IS NOT NULL
                      OR excluded.inferred AND s.lanes IS NOT NULL AND NOT s.inferred THEN s.inferred ELSE excluded.inferred END,
    lanes    = CASE WHEN excluded.lanes IS NULL OR s.catalogued AND s.lanes IS NOT NULL
                      OR excluded.inferred AND s.lanes IS NOT NULL AND NOT s.inferred THEN s.lanes ELSE excluded.lanes END

-- name: refuse_sensors, planned each time
-- Which of these sensors are new and beyond what their source may register within an hour, by hand aside.
WITH new AS (
    SELECT sensor_id, split_part(sensor_id, '/', 1) AS source,
           row_number() OVER (PARTITION BY split_part(sensor_id, '/', 1) ORDER BY nr) AS nr
    FROM unnest(%(sensor_id)s::text[]) WITH ORDINALITY AS w (sensor_id, nr)
    WHERE NOT EXISTS (SELECT FROM sensor s WHERE s.sensor_id = w.sensor_id)
), recent AS (
    SELECT source, count(*) AS sensors FROM sensor
    WHERE NOT catalogued AND registered_at > now() - interval '1 hour' GROUP BY source
)
SELECT sensor_id FROM new LEFT JOIN recent USING (source) WHERE nr + coalesce(sensors, 0) > %(most)s

-- name: use_indexes
-- For this transaction: the planner knows of neither the new series nor the rows before them, and would compare each with
-- each, or read all series for every batch.
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)

-- name: find_series, planned each time
-- The numbers of series, and what the quality rules need of their sensors.
SELECT w.nr, s.series, n.interval, n.overrides -> s.quantity
FROM unnest(%(sensor_id)s::text[], %(quantity)s::text[], %(channel)s::text[], %(period)s::int[])
     WITH ORDINALITY AS w (sensor_id, quantity, channel, period, nr)
JOIN series s USING (sensor_id, quantity, channel, period)
JOIN sensor n USING (sensor_id)

-- name: lock_sensors, planned each time
-- Two workers that insert two series of one sensor must not both take theirs for the only one.
SELECT count(*) FROM (
    SELECT FROM sensor WHERE sensor_id IN (SELECT unnest(%(sensor_id)s::text[])) ORDER BY sensor_id FOR UPDATE
) locked

-- name: insert_series, planned each time
-- Insert series; first their sensors: one without facts has no place.
WITH wanted AS (
    SELECT * FROM unnest(%(sensor_id)s::text[], %(quantity)s::text[], %(channel)s::text[], %(period)s::int[])
        AS n (sensor_id, quantity, channel, period)
), unnamed AS (
    INSERT INTO sensor (sensor_id, source)
    SELECT DISTINCT sensor_id, split_part(sensor_id, '/', 1) FROM wanted ORDER BY sensor_id
    ON CONFLICT (sensor_id) DO NOTHING
)
INSERT INTO series (sensor_id, quantity, channel, period)
SELECT sensor_id, quantity, channel, period FROM wanted ORDER BY sensor_id, quantity, channel, period
ON CONFLICT (sensor_id, quantity, channel, period) DO NOTHING

-- name: list_full_sensors, planned each time
-- The sensors of new series that would have more of them than a sensor may have. Asked before any is inserted, for a number
-- that is rolled back is spent.
SELECT sensor_id FROM (SELECT sensor_id, count(*) AS new FROM unnest(%(sensor_id)s::text[]) AS w (sensor_id) GROUP BY sensor_id) n
WHERE new + (SELECT count(*) FROM series s WHERE s.sensor_id = n.sensor_id) > %(most)s

-- name: set_series_heads, planned each time
-- Set for each series of these sensors whether it is the only one of its quantity, and one that its sensor's channels may
-- be taken from, and which series stands for them; the latter never changes once it is set. OFFSET makes the planner look up
-- each sensor, and never read all series.
UPDATE series s SET alone = n.alone, head = n.head
FROM (
    SELECT series, coalesce(min(head) OVER w, min(series) OVER w) AS head, count(*) OVER w = 1
           AND coalesce(c.names && ARRAY['lanes', 'separate', channel], true) AS alone
    FROM (SELECT DISTINCT unnest(%(sensor_id)s::text[]) AS sensor_id) i
    CROSS JOIN LATERAL (SELECT * FROM series f WHERE f.sensor_id = i.sensor_id AND channel !~ '^index' OFFSET 0) f
    CROSS JOIN LATERAL (SELECT * FROM sensor n WHERE n.sensor_id = i.sensor_id OFFSET 0) n LEFT JOIN source o USING (source)
    CROSS JOIN LATERAL (SELECT coalesce(n.channels, o.channels) AS names) c
    WINDOW w AS (PARTITION BY i.sensor_id, quantity)
) n
WHERE s.series = n.series AND (s.alone, s.head) IS DISTINCT FROM (n.alone, n.head)
