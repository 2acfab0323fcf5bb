-- The evidence of groups is made anew: a member with alternatives was the mean of all of them. And what decides how the channels
-- of a sensor combine decides that of the groups that it is in.
CREATE OR REPLACE FUNCTION forget_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := to_jsonb(NEW);
BEGIN
    UPDATE series s SET stored = false FROM (
        SELECT m.series, p.head FROM series m JOIN sensor n USING (sensor_id) LEFT JOIN group_part p USING (series)
        WHERE (m.stored OR NOT m.alone OR p.head IS NOT NULL)
          AND (changed -> 'sensor_id' IS NULL OR m.sensor_id = changed ->> 'sensor_id')
          AND (changed -> 'quantity' IS NULL OR m.quantity = changed ->> 'quantity')
          AND (TG_TABLE_NAME <> 'source' OR n.source = changed ->> 'source')
    ) c WHERE s.series IN (c.series, c.head);
    RETURN NULL;
END $$;
UPDATE series SET stored = false WHERE sensor_id LIKE 'group/%';
