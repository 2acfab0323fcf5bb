-- The sensors that an area window is over are a number: each set of names is stored once. Rows of before keep their names until
-- they are made again; the views read both. Nothing is rewritten here, so no lock is held for longer than a moment.
CREATE TABLE panel (
    panel   integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    members text[] NOT NULL,
    EXCLUDE USING hash (members WITH =)  -- unique, by the hash alone: a btree has no room for a set of a hundred names
);
ALTER TABLE area_1h ADD COLUMN panel integer, ALTER COLUMN members DROP NOT NULL;
ALTER TABLE area_1d ADD COLUMN panel integer, ALTER COLUMN members DROP NOT NULL;
ALTER TABLE area_1h_version ADD COLUMN panel integer, ALTER COLUMN members DROP NOT NULL;
ALTER TABLE area_1d_version ADD COLUMN panel integer, ALTER COLUMN members DROP NOT NULL;

-- Area windows with the number, for who looks up the names of each set once; `named` are those of a row of before.
CREATE VIEW area_panel_1h AS
SELECT a.vintage, a.code, n.level, n.name, a.quantity, q.unit, a.start, a.start + interval '1 hour' AS "end", a.value,
       a.estimate, a.minimum, a.maximum, a.readings, a.flagged, a.failed, a.coverage, a.valid, a.sensors, a.valid_sensors,
       a.panel, a.members AS named, a.revision, a.computed_at
FROM area_1h a JOIN area n USING (vintage, code) JOIN quantity q USING (quantity);
CREATE OR REPLACE VIEW area_hour AS
SELECT vintage, code, level, name, quantity, unit, start, "end", value, estimate, minimum, maximum, readings, flagged, failed,
       coverage, valid, sensors, valid_sensors,
       coalesce(named, (SELECT p.members FROM panel p WHERE p.panel = a.panel)) AS members, revision, computed_at
FROM area_panel_1h a;
CREATE VIEW area_panel_1d AS
SELECT a.vintage, a.code, n.level, n.name, a.quantity, q.unit, a.start, day_end(a.start, q.zone) AS "end", a.value,
       a.estimate, a.minimum, a.maximum, a.readings, a.flagged, a.failed, a.coverage, a.valid, a.sensors, a.valid_sensors,
       a.panel, a.members AS named, a.revision, a.computed_at
FROM area_1d a JOIN area n USING (vintage, code) JOIN quantity q USING (quantity);
CREATE OR REPLACE VIEW area_day AS
SELECT vintage, code, level, name, quantity, unit, start, "end", value, estimate, minimum, maximum, readings, flagged, failed,
       coverage, valid, sensors, valid_sensors,
       coalesce(named, (SELECT p.members FROM panel p WHERE p.panel = a.panel)) AS members, revision, computed_at
FROM area_panel_1d a;

-- An area window of before that is made again by the same sensors has not changed, but has their number from then on. And the
-- columns of a version of it no longer stand in the order of the window's.
DO $$
DECLARE
    made text := pg_get_functiondef('keep_version'::regproc);
BEGIN
    made := replace(replace(made, 'OLD.members', 'OLD.panel'), 'NEW.members', 'NEW.panel');
    made := replace(made, $old$IF TG_OP = 'UPDATE' THEN$old$, $new$IF TG_OP = 'UPDATE' THEN
        IF changed LIKE 'area%' THEN
            IF OLD.members IS NOT NULL THEN
                OLD.panel := (SELECT p.panel FROM panel p WHERE p.panel = NEW.panel AND p.members = OLD.members);
                OLD.members := CASE WHEN OLD.panel IS NULL THEN OLD.members END;
            END IF;
        END IF;$new$);
    made := replace(made, $old$'INSERT INTO %I SELECT ($1).*, now(), $2', version)$old$,
                    $new$'INSERT INTO %I %s SELECT ($1).*, now(), $2', version, CASE WHEN changed LIKE 'area%' THEN
                '(start, value, estimate, minimum, maximum, coverage, computed_at, readings, flagged, failed, vintage, sensors,'
                ' valid_sensors, revision, status, valid, code, quantity, members, since, panel, until, reason)' END)$new$);
    EXECUTE made;
END $$;
