SELECT w.nr, s.series, n.interval, n.overrides -> s.quantity
FROM unnest(%(sensor_id)s::text[], %(quantity)s::text[], %(channel)s::text[], %(period)s::int[])
     WITH ORDINALITY AS w (sensor_id, quantity, channel, period, nr)
JOIN series s USING (sensor_id, quantity, channel, period)
JOIN sensor n USING (sensor_id)
