-- The sensors that measure a quantity in windows of `length`, and those of the same kind that never said anything.
SELECT sensor_id FROM series WHERE quantity = %(quantity)s AND period <= %(length)s AND channel !~ '^index'
UNION
SELECT sensor_id FROM sensor n
WHERE NOT EXISTS (SELECT FROM series s WHERE s.sensor_id = n.sensor_id) AND kind IN (
    SELECT k.kind FROM series s JOIN sensor k USING (sensor_id)
    WHERE s.quantity = %(quantity)s AND s.period <= %(length)s)
