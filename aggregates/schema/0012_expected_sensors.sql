-- Sensors or quantities of which something changed that decides whether their figures are valid, back to their first:
-- their area figures are made anew. Appended, never updated.
CREATE TABLE changed_validity (
    sensor_id text,              -- null: every sensor
    quantity  text               -- null: every quantity
);

CREATE FUNCTION note_changed_validity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changed_validity SELECT to_jsonb(NEW) ->> 'sensor_id', to_jsonb(NEW) ->> 'quantity'
    WHERE EXISTS (SELECT FROM area_load);
    RETURN NULL;
END $$;
CREATE TRIGGER lanes_changed AFTER UPDATE OF lanes ON sensor FOR EACH ROW
    WHEN (NEW.lanes IS DISTINCT FROM OLD.lanes) EXECUTE FUNCTION note_changed_validity();
-- A second series of a sensor, which may be one of two lanes.
CREATE TRIGGER not_alone AFTER UPDATE OF alone ON series FOR EACH ROW
    WHEN (OLD.alone AND NOT NEW.alone) EXECUTE FUNCTION note_changed_validity();
CREATE TRIGGER rule_changed AFTER UPDATE ON quantity FOR EACH ROW
    WHEN ((NEW.aggregation, NEW.zone, NEW.coverage, NEW.hours) IS DISTINCT FROM
          (OLD.aggregation, OLD.zone, OLD.coverage, OLD.hours)) EXECUTE FUNCTION note_changed_validity();

-- Areas counted the sensors with a window, and now those that are expected.
INSERT INTO changed_validity SELECT NULL, NULL WHERE EXISTS (SELECT FROM area_load);
