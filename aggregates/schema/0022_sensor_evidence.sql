-- The evidence of a sensor that has several series of a quantity, at hour and day: what its channels make together. The
-- figures are made of it by views, with what is expected by now. A sensor with one series has the rows of its series.
CREATE TABLE sensor_evidence_1h (
    start         timestamptz NOT NULL,
    value         double precision,          -- sums over the lanes, of their figures and their evidence
    estimate      double precision,
    timed         double precision,          -- value x covered
    time          double precision,
    weighted      double precision,
    weight        double precision,
    harmonic      double precision,
    average       double precision,          -- of the lanes' values
    minimum       double precision,
    maximum       double precision,
    covered_lanes double precision,          -- sum of their coverages; null: one is unknown
    computed_at   timestamptz NOT NULL,
    valid_lanes   bigint NOT NULL,
    lanes         bigint NOT NULL,
    head          integer NOT NULL,          -- the series that stands for the sensor and quantity
    readings      integer NOT NULL,
    nothing       integer NOT NULL,
    flagged       integer NOT NULL,
    failed        integer NOT NULL,
    warned        integer NOT NULL,
    revision      integer NOT NULL,
    status        smallint NOT NULL,
    whole         boolean NOT NULL,          -- every channel is the whole sensor's, and no lane's
    PRIMARY KEY (head, start)
);
CREATE INDEX ON sensor_evidence_1h USING brin (start) WITH (autosummarize = on);
CREATE TABLE sensor_evidence_1d (LIKE sensor_evidence_1h INCLUDING ALL);

-- Whether this is done for all that is stored of the sensor and quantity: the roll-up does it, sensor by sensor. Until then
-- the views compute the figures.
ALTER TABLE series ADD COLUMN stored boolean NOT NULL DEFAULT false;
CREATE INDEX series_head ON series (head);
CREATE INDEX series_not_stored ON series (head) WHERE NOT stored AND NOT alone;

-- What decides how channels combine has changed: the roll-up makes the evidence anew. These updates leave out no row for
-- being not stored, so that they wait for a roll-up that is about to say it is.
CREATE FUNCTION forget_evidence() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := to_jsonb(NEW);
BEGIN
    UPDATE series s SET stored = false FROM sensor n
    WHERE n.sensor_id = s.sensor_id AND (s.stored OR NOT s.alone)
      AND (changed -> 'sensor_id' IS NULL OR s.sensor_id = changed ->> 'sensor_id')
      AND (changed -> 'quantity' IS NULL OR s.quantity = changed ->> 'quantity')
      AND (TG_TABLE_NAME <> 'source' OR n.source = changed ->> 'source');
    RETURN NULL;
END $$;
CREATE TRIGGER evidence_of_sensor AFTER UPDATE OF channels ON sensor FOR EACH ROW
    WHEN (NEW.channels IS DISTINCT FROM OLD.channels) EXECUTE FUNCTION forget_evidence();
CREATE TRIGGER evidence_of_source AFTER UPDATE OF channels ON source FOR EACH ROW
    WHEN (NEW.channels IS DISTINCT FROM OLD.channels) EXECUTE FUNCTION forget_evidence();
CREATE TRIGGER evidence_of_quantity AFTER UPDATE ON quantity FOR EACH ROW
    WHEN ((NEW.aggregation, NEW.zone, NEW.coverage, NEW.hours, NEW.channels) IS DISTINCT FROM
          (OLD.aggregation, OLD.zone, OLD.coverage, OLD.hours, OLD.channels)) EXECUTE FUNCTION forget_evidence();
CREATE TRIGGER evidence_of_one AFTER UPDATE OF alone ON series FOR EACH ROW
    WHEN (NEW.alone AND OLD.stored) EXECUTE FUNCTION forget_evidence();

CREATE FUNCTION forget_evidence_of_new() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE series s SET stored = false FROM (SELECT DISTINCT sensor_id, quantity FROM new) n
    WHERE (s.sensor_id, s.quantity) = (n.sensor_id, n.quantity) AND s.series NOT IN (SELECT series FROM new);
    RETURN NULL;
END $$;
CREATE TRIGGER evidence_of_new AFTER INSERT ON series REFERENCING NEW TABLE AS new FOR EACH STATEMENT
    EXECUTE FUNCTION forget_evidence_of_new();
