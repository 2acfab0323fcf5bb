-- Every hour of these sensors (null: of all) must be made anew.
INSERT INTO area_mark (hour, quantity)
SELECT DISTINCT w.start, s.quantity FROM series s JOIN window_1h w USING (series)
WHERE (%(sensor_id)s::text[] IS NULL OR s.sensor_id = ANY(%(sensor_id)s))
