-- Register series; their sensors first, for a sensor that nobody named has no place.
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
