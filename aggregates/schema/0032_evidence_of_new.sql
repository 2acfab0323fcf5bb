-- Planned each time, and series are looked up by sensor: a plan that is kept was made for an empty table, and the planner
-- knows nothing of new series, so that each batch with new ones read all that there are.
CREATE OR REPLACE FUNCTION forget_evidence_of_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'UPDATE series SET stored = false WHERE series = ANY(ARRAY('
            ' SELECT o.series FROM (SELECT DISTINCT sensor_id, quantity FROM new) n CROSS JOIN LATERAL ('
            ' SELECT series FROM series s WHERE s.sensor_id = n.sensor_id AND s.quantity = n.quantity AND s.stored OFFSET 0) o'
            ' EXCEPT SELECT series FROM new))';
    RETURN NULL;
END $$;
