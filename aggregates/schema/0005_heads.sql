-- Hours of one series together in the index, and a series that stands for each sensor and quantity.

-- The roll-up writes hour by hour, so that a year of one series lies on as many pages of the table as it has hours. Its
-- evidence is in the index too, where they lie side by side.
ALTER TABLE window_1h DROP CONSTRAINT window_1h_pkey, ADD CONSTRAINT window_1h_pkey PRIMARY KEY (series, start)
    INCLUDE (readings, nothing, flagged, failed, warned, total, weight, weighted, harmonic, minimum, maximum, covered, status,
             revision);
-- Only pages that vacuum has seen are read from the index alone.
ALTER TABLE window_1h SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000);
CREATE INDEX window_1h_start ON window_1h USING brin (start) WITH (autosummarize = on);

ALTER TABLE series ADD COLUMN head integer;  -- the series that stands for its sensor and quantity; null: an index channel
UPDATE series s SET head = (
    SELECT min(series) FROM series o WHERE (o.sensor_id, o.quantity) = (s.sensor_id, s.quantity) AND o.channel !~ '^index'
) WHERE channel !~ '^index';
