-- The hours that this roll-up wrote, for the areas, where there are any.
INSERT INTO area_mark (hour, quantity)
SELECT DISTINCT d.start, s.quantity FROM dirty d JOIN series s USING (series) WHERE EXISTS (SELECT FROM area_load)
