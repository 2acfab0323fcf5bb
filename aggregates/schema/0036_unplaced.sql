-- A row where a place or boundaries are new: only then are all places held against all boundaries, which each turn of the
-- upkeep did before. `aggregates.areas.roll_up.place_sensors` deletes the rows that it sees, then compares.
CREATE TABLE unplaced (noted_at timestamptz NOT NULL DEFAULT now());
INSERT INTO unplaced DEFAULT VALUES;
CREATE FUNCTION note_unplaced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO unplaced DEFAULT VALUES;
    RETURN NULL;
END $$;
CREATE TRIGGER note_unplaced AFTER INSERT OR UPDATE ON sensor_place FOR EACH STATEMENT EXECUTE FUNCTION note_unplaced();
CREATE TRIGGER note_unplaced AFTER INSERT OR UPDATE ON area_load FOR EACH STATEMENT EXECUTE FUNCTION note_unplaced();
CREATE TRIGGER note_unplaced AFTER DELETE ON placement FOR EACH STATEMENT EXECUTE FUNCTION note_unplaced();
