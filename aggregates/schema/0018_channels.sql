-- How the channels of a sensor make one figure: lanes add up or weigh, of names in order of preference one is taken,
-- separate ones have none together. The sensor's own rule goes before its source's, and that before the quantity's.
ALTER TABLE quantity ADD COLUMN channels text NOT NULL DEFAULT 'separate';
ALTER TABLE source ADD COLUMN channels text[];
ALTER TABLE sensor ADD COLUMN channels text[];
CREATE TRIGGER channels_changed AFTER UPDATE OF channels ON sensor FOR EACH ROW
    WHEN (NEW.channels IS DISTINCT FROM OLD.channels) EXECUTE FUNCTION note_changed_validity();
CREATE TRIGGER channels_changed AFTER UPDATE OF channels ON source FOR EACH ROW
    WHEN (NEW.channels IS DISTINCT FROM OLD.channels) EXECUTE FUNCTION note_changed_validity();
-- Chips of one box were averaged, and what a heated inlet measures stood for the air.
UPDATE series SET alone = false WHERE alone AND channel = 'HECA';
INSERT INTO changed_validity (sensor_id, quantity) SELECT NULL, NULL WHERE EXISTS (SELECT FROM series);
