-- Sensors and days that were rolled up and are over, of quantities that a rule looks at.
SELECT sensor_id, start FROM (
    SELECT DISTINCT s.sensor_id, q.zone, date_trunc('day', d.start, q.zone) AS start
    FROM dirty d JOIN series s USING (series) JOIN quantity q USING (quantity)
    WHERE s.quantity = ANY(%(quantities)s)
) n WHERE ((start AT TIME ZONE zone) + interval '1 day') AT TIME ZONE zone <= %(until)s
