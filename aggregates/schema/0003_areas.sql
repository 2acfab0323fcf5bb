-- Areas of CBS by vintage, their statistics, where sensors stood, and what the sensors of an area say together.

CREATE TABLE area_load (         -- what a vintage was loaded from, by municipality
    vintage      integer NOT NULL,
    municipality text NOT NULL,
    part         text NOT NULL CHECK (part IN ('boundaries', 'statistics')),
    title        text NOT NULL,  -- as the source itself says
    origin       text NOT NULL,  -- files or addresses
    licence      text NOT NULL,
    table_id     text,
    modified     text,
    digest       text NOT NULL,  -- of the content: the same again changes nothing
    loaded_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (vintage, municipality, part)
);

CREATE TABLE area (
    vintage      integer NOT NULL,
    code         text NOT NULL,
    level        text NOT NULL CHECK (level IN ('gemeente', 'wijk', 'buurt')),
    name         text NOT NULL,
    municipality text NOT NULL,
    change       text,           -- Indelingswijziging: 1 as the year before, 2 other code, 3 other boundary
    derived      boolean NOT NULL DEFAULT false,  -- the boundary is the union of its buurten
    geometry     bytea,          -- WKB, degrees (WGS84); null: no boundary known
    PRIMARY KEY (vintage, code)
);
CREATE INDEX ON area (vintage, municipality);

CREATE TABLE measure (           -- a mirror of aggregates/areas/measures.toml
    measure    text PRIMARY KEY,
    code       text,             -- CBS's own, stable over the years
    title      text NOT NULL,
    unit       text NOT NULL,
    theme      text NOT NULL,
    withheld   text              -- CBS's own threshold
);

CREATE TABLE area_statistic (
    vintage   integer NOT NULL,
    code      text NOT NULL,
    measure   text NOT NULL,     -- name in measure, or the key of the file where that has none
    value     double precision,
    content   text,              -- what a cell that is no number holds
    attribute text,              -- of a value: provisional, ...; of a null: the reason
    unit      text,
    period    text,              -- what the figure is about: one vintage holds several years
    table_id  text,
    modified  text,
    key       text NOT NULL,     -- the column or measure code in the source
    PRIMARY KEY (vintage, code, measure)
);

CREATE TABLE sensor_place (      -- where a sensor stood from `since` on; its first place is since ever
    sensor_id text NOT NULL REFERENCES sensor,
    since     timestamptz NOT NULL,
    lon       double precision NOT NULL,
    lat       double precision NOT NULL,
    PRIMARY KEY (sensor_id, since)
);
INSERT INTO sensor_place SELECT sensor_id, '1900-01-01 00:00+00', lon, lat FROM sensor WHERE lon IS NOT NULL;

-- A move of less than 25 m is noise of a position, not a move.
CREATE FUNCTION note_place() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE known sensor_place;
BEGIN
    SELECT * INTO known FROM sensor_place WHERE sensor_id = NEW.sensor_id ORDER BY since DESC LIMIT 1;
    IF NOT FOUND THEN
        INSERT INTO sensor_place VALUES (NEW.sensor_id, '1900-01-01 00:00+00', NEW.lon, NEW.lat);
    ELSIF sqrt(((NEW.lon - known.lon) * cos(radians(NEW.lat))) ^ 2 + (NEW.lat - known.lat) ^ 2) * 111195 >= 25 THEN
        INSERT INTO sensor_place VALUES (NEW.sensor_id, now(), NEW.lon, NEW.lat)
        ON CONFLICT (sensor_id, since) DO UPDATE SET lon = excluded.lon, lat = excluded.lat;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER place_known AFTER INSERT ON sensor FOR EACH ROW
    WHEN (NEW.lon IS NOT NULL AND NEW.lat IS NOT NULL) EXECUTE FUNCTION note_place();
CREATE TRIGGER place_moved AFTER UPDATE OF lon, lat ON sensor FOR EACH ROW
    WHEN (NEW.lon IS NOT NULL AND NEW.lat IS NOT NULL AND (NEW.lon, NEW.lat) IS DISTINCT FROM (OLD.lon, OLD.lat))
    EXECUTE FUNCTION note_place();

CREATE TABLE placement (         -- the smallest area that a place lies in, by vintage
    vintage   integer NOT NULL,
    sensor_id text NOT NULL REFERENCES sensor,
    since     timestamptz NOT NULL,
    lon       double precision NOT NULL,
    lat       double precision NOT NULL,
    status    text NOT NULL,     -- inside, border, overlap, gap or outside
    code      text,              -- null: in no area
    nearest   text,              -- of a place in no area
    distance  double precision,  -- m to the nearest
    PRIMARY KEY (vintage, sensor_id, since)
);

CREATE TABLE area_mark (         -- hours of a quantity whose area figures must be made anew; appended, never updated
    hour     timestamptz NOT NULL,
    quantity text NOT NULL
);
CREATE INDEX ON area_mark (hour);

CREATE TABLE area_1h (           -- sum or mean over the valid sensors, which are named
    start         timestamptz NOT NULL,
    value         double precision,
    estimate      double precision,
    minimum       double precision,
    maximum       double precision,
    coverage      double precision,  -- mean of the sensors'; null: one is unknown
    computed_at   timestamptz NOT NULL DEFAULT now(),
    readings      bigint NOT NULL,
    flagged       bigint NOT NULL,
    failed        bigint NOT NULL,
    vintage       integer NOT NULL,
    sensors       integer NOT NULL,  -- with a window
    valid_sensors integer NOT NULL,
    revision      integer NOT NULL DEFAULT 1,
    status        smallint NOT NULL,
    valid         boolean NOT NULL,
    code          text NOT NULL,
    quantity      text NOT NULL,
    members       text[] NOT NULL,   -- the valid sensors
    PRIMARY KEY (vintage, code, quantity, start)
);
CREATE INDEX ON area_1h USING brin (start) WITH (autosummarize = on);
CREATE TABLE area_1d (LIKE area_1h INCLUDING ALL);

-- Which sensor belongs to which area, of every level, from when until when.
CREATE VIEW sensor_area AS
SELECT DISTINCT p.vintage, a.code, a.level, p.sensor_id, p.since, p.until, p.status
FROM (SELECT *, coalesce(lead(since) OVER (PARTITION BY vintage, sensor_id ORDER BY since), 'infinity') AS until
      FROM placement) p
CROSS JOIN LATERAL (VALUES (p.code), ('WK' || substr(p.code, 3, 6)), ('GM' || substr(p.code, 3, 4))) c (code)
JOIN area a ON a.vintage = p.vintage AND a.code = c.code;

-- For analysts: area figures with the area's name and the sources of its sensors.
CREATE VIEW area_hour AS
SELECT a.vintage, a.code, n.level, n.name, a.quantity, q.unit, a.start, a.start + interval '1 hour' AS "end", a.value,
       a.estimate, a.minimum, a.maximum, a.readings, a.flagged, a.failed, a.coverage, a.valid, a.sensors, a.valid_sensors,
       a.members, a.revision, a.computed_at
FROM area_1h a JOIN area n USING (vintage, code) JOIN quantity q USING (quantity);
CREATE VIEW area_day AS
SELECT a.vintage, a.code, n.level, n.name, a.quantity, q.unit, a.start,
       ((a.start AT TIME ZONE q.zone) + interval '1 day') AT TIME ZONE q.zone AS "end", a.value,
       a.estimate, a.minimum, a.maximum, a.readings, a.flagged, a.failed, a.coverage, a.valid, a.sensors, a.valid_sensors,
       a.members, a.revision, a.computed_at
FROM area_1d a JOIN area n USING (vintage, code) JOIN quantity q USING (quantity);

-- For analysts: every statistic with its title, theme, source and licence; a null with its reason.
CREATE VIEW area_statistics AS
SELECT s.vintage, s.code, a.level, a.name, s.measure, m.title, m.theme, s.value, s.content, s.attribute, s.unit, s.period,
       s.table_id, s.modified, l.title AS source, l.licence
FROM area_statistic s
JOIN area a USING (vintage, code)
LEFT JOIN measure m USING (measure)
LEFT JOIN area_load l ON l.vintage = s.vintage AND l.municipality = a.municipality AND l.part = 'statistics';
