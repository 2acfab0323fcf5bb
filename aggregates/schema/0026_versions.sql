-- What closed windows were before they changed, and why they did: the figures as known at any moment since now.

ALTER TABLE rollup ADD COLUMN versions_since timestamptz NOT NULL DEFAULT now();  -- before it nothing was kept, or it is deleted

-- Since when a window is what it is, where it was computed again without a change; null: since it was computed.
ALTER TABLE window_1h ADD COLUMN since timestamptz;
ALTER TABLE window_1d ADD COLUMN since timestamptz;
ALTER TABLE area_1h ADD COLUMN since timestamptz;
ALTER TABLE area_1d ADD COLUMN since timestamptz;

-- The earlier ones: what the window was from `since` until `until`, and why it changed then.
CREATE TABLE window_1h_version (LIKE window_1h, until timestamptz NOT NULL, reason text NOT NULL,
                                PRIMARY KEY (series, start, until));
CREATE TABLE window_1d_version (LIKE window_1d, until timestamptz NOT NULL, reason text NOT NULL,
                                PRIMARY KEY (series, start, until));
CREATE TABLE area_1h_version (LIKE area_1h, until timestamptz NOT NULL, reason text NOT NULL,
                              PRIMARY KEY (vintage, code, quantity, start, until));
CREATE TABLE area_1d_version (LIKE area_1d, until timestamptz NOT NULL, reason text NOT NULL,
                              PRIMARY KEY (vintage, code, quantity, start, until));
CREATE INDEX window_1h_version_until ON window_1h_version USING brin (until) WITH (autosummarize = on);
CREATE INDEX window_1d_version_until ON window_1d_version USING brin (until) WITH (autosummarize = on);
CREATE INDEX area_1h_version_until ON area_1h_version USING brin (until) WITH (autosummarize = on);
CREATE INDEX area_1d_version_until ON area_1d_version USING brin (until) WITH (autosummarize = on);

CREATE TABLE repair (            -- windows that the proof found to differ: their next change repairs them
    level   text NOT NULL,
    series  integer NOT NULL,
    start   timestamptz NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (level, series, start)
);

CREATE TABLE catalogue_version ( -- what decides figures beside readings: a row of `kind` as it was until then
    kind  text NOT NULL,
    key   text NOT NULL,
    until timestamptz NOT NULL,
    was   jsonb NOT NULL,
    PRIMARY KEY (kind, key, until)
);
CREATE INDEX catalogue_version_until ON catalogue_version (until);
ALTER TABLE series ADD COLUMN made_at timestamptz;           -- null: before this was noted
ALTER TABLE series ALTER COLUMN made_at SET DEFAULT now();

CREATE TABLE release (           -- figures that were published: never changed
    name     text PRIMARY KEY,
    as_of    timestamptz NOT NULL,
    made_at  timestamptz NOT NULL DEFAULT now(),
    manifest jsonb NOT NULL
);
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'release % is immutable', OLD.name;
END $$;
CREATE TRIGGER release_immutable BEFORE UPDATE OR DELETE ON release FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION keep_catalogue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO catalogue_version VALUES (TG_TABLE_NAME, to_jsonb(OLD) ->> TG_ARGV[0], now(), to_jsonb(OLD))
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER sensor_was AFTER UPDATE OF lanes, channels ON sensor FOR EACH ROW
    WHEN ((NEW.lanes, NEW.channels) IS DISTINCT FROM (OLD.lanes, OLD.channels))
    EXECUTE FUNCTION keep_catalogue('sensor_id');
CREATE TRIGGER series_was AFTER UPDATE OF alone ON series FOR EACH ROW
    WHEN (NEW.alone <> OLD.alone AND OLD.head IS NOT NULL) EXECUTE FUNCTION keep_catalogue('series');
CREATE TRIGGER source_was AFTER UPDATE OF channels ON source FOR EACH ROW
    WHEN (NEW.channels IS DISTINCT FROM OLD.channels) EXECUTE FUNCTION keep_catalogue('source');
CREATE TRIGGER quantity_was AFTER UPDATE ON quantity FOR EACH ROW
    WHEN ((NEW.aggregation, NEW.zone, NEW.coverage, NEW.hours, NEW.channels) IS DISTINCT FROM
          (OLD.aggregation, OLD.zone, OLD.coverage, OLD.hours, OLD.channels)) EXECUTE FUNCTION keep_catalogue('quantity');

-- Whether two numbers are one but for the order in which sums were added up.
CREATE FUNCTION alike(a double precision, b double precision) RETURNS boolean IMMUTABLE LANGUAGE sql
RETURN coalesce(abs(a - b) <= 1e-12 * greatest(abs(a), abs(b)), a IS NULL AND b IS NULL);

-- Keep what a closed window was when it changes, with the reason, by the evidence: more readings are late data; as many, of
-- which more or fewer are flagged, a flag; as many with other values a correction. A window that is computed again without
-- a change stays as it is. More than four changes of one day by the hub's clock are one: the last version then holds until
-- the last of them, but never beyond the moment of a release: so what arrives in pieces all day takes four rows. Nor is
-- what stood for less than ten seconds before more data came a version: a file is being read.
CREATE FUNCTION keep_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was     record := OLD;
    made    record := NEW;
    reason  text := 'repair';
    version text := TG_TABLE_NAME || '_version';
    chosen  text;
    today   bigint;
    arrives boolean;
    merged  bigint := 0;
BEGIN
    was.since := coalesce(OLD.since, OLD.computed_at);
    IF TG_OP = 'UPDATE' THEN
        IF TG_TABLE_NAME LIKE 'area%' THEN
            reason := CASE
                WHEN (OLD.readings, OLD.flagged, OLD.failed, OLD.sensors, OLD.valid_sensors, OLD.valid, OLD.status, OLD.members,
                      OLD.minimum, OLD.maximum) IS NOT DISTINCT FROM
                     (NEW.readings, NEW.flagged, NEW.failed, NEW.sensors, NEW.valid_sensors, NEW.valid, NEW.status, NEW.members,
                      NEW.minimum, NEW.maximum)
                     AND alike(OLD.value, NEW.value) AND alike(OLD.estimate, NEW.estimate)
                     AND alike(OLD.coverage, NEW.coverage) THEN ''
                WHEN NEW.readings + NEW.flagged + NEW.failed > OLD.readings + OLD.flagged + OLD.failed THEN 'late data'
                WHEN NEW.flagged <> OLD.flagged THEN 'flag'
                WHEN (OLD.readings, OLD.members, OLD.sensors) = (NEW.readings, NEW.members, NEW.sensors) THEN 'correction'
                ELSE 'catalogue' END;
        ELSE
            reason := CASE
                WHEN (OLD.readings, OLD.nothing, OLD.flagged, OLD.failed, OLD.warned, OLD.minimum, OLD.maximum, OLD.status)
                     IS NOT DISTINCT FROM
                     (NEW.readings, NEW.nothing, NEW.flagged, NEW.failed, NEW.warned, NEW.minimum, NEW.maximum, NEW.status)
                     AND alike(OLD.total, NEW.total) AND alike(OLD.weight, NEW.weight) AND alike(OLD.weighted, NEW.weighted)
                     AND alike(OLD.squares, NEW.squares) AND alike(OLD.harmonic, NEW.harmonic)
                     AND alike(OLD.covered, NEW.covered) THEN ''
                WHEN NEW.readings + NEW.nothing + NEW.flagged + NEW.failed
                     > OLD.readings + OLD.nothing + OLD.flagged + OLD.failed THEN 'late data'
                WHEN NEW.flagged <> OLD.flagged THEN 'flag'
                ELSE 'correction' END;
            IF TG_TABLE_NAME = 'window_1d' AND reason = '' THEN
                reason := CASE WHEN NEW.valid_hours <> OLD.valid_hours THEN 'catalogue' ELSE '' END;
            END IF;
            IF EXISTS (SELECT FROM repair r WHERE (r.level, r.series, r.start) = (TG_TABLE_NAME, OLD.series, OLD.start)) THEN
                DELETE FROM repair r WHERE (r.level, r.series, r.start) = (TG_TABLE_NAME, OLD.series, OLD.start);
                reason := CASE reason WHEN '' THEN '' ELSE 'repair' END;
            END IF;
        END IF;
        IF reason = '' THEN
            NEW := OLD;
            NEW.computed_at := made.computed_at;
            NEW.revision := made.revision;
            NEW.since := was.since;
            RETURN NEW;
        END IF;
        NEW.since := NULL;
    END IF;
    IF was.since < now() THEN    -- else nobody could see it
        SELECT string_agg(format('v.%1$I = ($1).%1$I', name), ' AND ') INTO chosen FROM unnest(TG_ARGV) name;
        arrives := reason = 'late data' AND was.since > now() - interval '10 seconds';
        EXECUTE format('SELECT count(*) FROM %I v WHERE %s AND v.until > now() - interval ''1 day''', version, chosen)
        INTO today USING was;
        IF EXISTS (SELECT FROM release r WHERE r.as_of >= was.since) THEN
            arrives := false;
        ELSIF arrives OR today >= 4 THEN
            EXECUTE format('UPDATE %I v SET until = now() WHERE %s AND v.until = $2', version, chosen)
            USING was, was.since;
            GET DIAGNOSTICS merged = ROW_COUNT;
        END IF;
        IF merged = 0 AND NOT arrives THEN
            EXECUTE format('INSERT INTO %I SELECT ($1).*, now(), $2', version) USING was, reason;
        END IF;
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
-- A window is closed a quarter of an hour after its end: until then it is being made.
CREATE TRIGGER keep_version BEFORE UPDATE OR DELETE ON window_1h FOR EACH ROW
    WHEN (OLD.start < now() - interval '75 minutes') EXECUTE FUNCTION keep_version('series', 'start');
CREATE TRIGGER keep_version BEFORE UPDATE OR DELETE ON window_1d FOR EACH ROW
    WHEN (OLD.start < now() - interval '25 hours 15 minutes') EXECUTE FUNCTION keep_version('series', 'start');
CREATE TRIGGER keep_version BEFORE UPDATE OR DELETE ON area_1h FOR EACH ROW
    WHEN (OLD.start < now() - interval '75 minutes')
    EXECUTE FUNCTION keep_version('vintage', 'code', 'quantity', 'start');
CREATE TRIGGER keep_version BEFORE UPDATE OR DELETE ON area_1d FOR EACH ROW
    WHEN (OLD.start < now() - interval '25 hours 15 minutes')
    EXECUTE FUNCTION keep_version('vintage', 'code', 'quantity', 'start');
