-- Sensors inside a building are measured and shown, and count in no area.
ALTER TABLE sensor ADD COLUMN indoor boolean;              -- null: nobody has said

CREATE OR REPLACE VIEW sensor_area AS
SELECT DISTINCT p.vintage, a.code, a.level, p.sensor_id, p.since, p.until, p.status
FROM (SELECT *, coalesce(lead(since) OVER (PARTITION BY vintage, sensor_id ORDER BY since), 'infinity') AS until
      FROM placement) p
JOIN sensor n ON n.sensor_id = p.sensor_id AND n.indoor IS NOT true
CROSS JOIN LATERAL (VALUES (p.code), ('WK' || substr(p.code, 3, 6)), ('GM' || substr(p.code, 3, 4))) c (code)
JOIN area a ON a.vintage = p.vintage AND a.code = c.code;

CREATE TRIGGER indoor_changed AFTER UPDATE OF indoor ON sensor FOR EACH ROW
    WHEN (NEW.indoor IS DISTINCT FROM OLD.indoor) EXECUTE FUNCTION note_changed_validity();

-- The rule of stuck values is milder than it was: hours with flags are judged again.
INSERT INTO mark (hour, members)
SELECT start, array_agg(series) FROM window_1h WHERE flagged + warned > 0 GROUP BY start;
