-- What changed stays: exports write the figures of these sensors again, whenever they run.
ALTER TABLE changed_validity
    ADD COLUMN made_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN marked  boolean NOT NULL DEFAULT false,    -- the hours of its areas are marked
    ADD COLUMN areas   boolean NOT NULL DEFAULT false;    -- of areas alone: the sensors' own figures are as they were
UPDATE changed_validity SET areas = true;
CREATE INDEX changed_validity_waits ON changed_validity (made_at) WHERE NOT marked;

CREATE OR REPLACE FUNCTION note_changed_validity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changed_validity SELECT to_jsonb(NEW) ->> 'sensor_id', to_jsonb(NEW) ->> 'quantity';
    RETURN NULL;
END $$;
