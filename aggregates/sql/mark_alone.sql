-- Say of each series of these sensors whether it is the only one of its quantity.
UPDATE series s SET alone = NOT s.alone
WHERE s.sensor_id = ANY (%(sensor_id)s) AND s.channel !~ '^index' AND s.alone <> NOT EXISTS (
    SELECT FROM series o WHERE o.sensor_id = s.sensor_id AND o.quantity = s.quantity AND o.series <> s.series
        AND o.channel !~ '^index')
