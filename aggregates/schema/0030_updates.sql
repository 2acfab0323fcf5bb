-- How far windows were sent as updates of SensorThings, and by which filter they were chosen; one row, none before the first.
CREATE TABLE sta_sent (
    single      boolean PRIMARY KEY DEFAULT true CHECK (single),
    filter      text NOT NULL,
    computed_at timestamptz NOT NULL,          -- the last hour that was sent: when it was computed, of what, and which one
    series      integer NOT NULL,
    start       timestamptz NOT NULL
);
-- What was computed last is looked for every second: not among all pages that no vacuum has seen yet.
ALTER INDEX IF EXISTS window_1h_computed_at SET (autosummarize = on);
