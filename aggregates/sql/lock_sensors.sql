-- Two workers that learn two series of one sensor must not both think theirs is the only one.
SELECT count(*) FROM (
    SELECT FROM sensor WHERE sensor_id IN (SELECT unnest(%(sensor_id)s::text[])) ORDER BY sensor_id FOR UPDATE
) locked
