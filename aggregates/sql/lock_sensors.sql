-- Two workers that learn two series of one sensor must not both think theirs is the only one.
SELECT count(*) FROM (
    SELECT FROM sensor WHERE sensor_id = ANY (%(sensor_id)s) ORDER BY sensor_id FOR UPDATE
) locked
