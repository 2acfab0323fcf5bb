-- What delivery adds to the tables of alerts: what leaves together, what waits for a silence, what was told daily.

ALTER TABLE outbox ADD COLUMN message uuid;    -- rows that leave together, set before the first attempt: a repetition is the same
ALTER TABLE outbox ADD COLUMN held_by bigint REFERENCES silence;  -- due_at is then the end of that silence
CREATE INDEX outbox_waiting ON outbox (channel, transition) WHERE delivered_at IS NULL AND dropped IS NULL;
CREATE INDEX outbox_message ON outbox (message);

CREATE TABLE digest (            -- daily summaries that left
    channel text NOT NULL,
    day     date NOT NULL,       -- local
    sent_at timestamptz NOT NULL,
    PRIMARY KEY (channel, day)
);

CREATE TABLE notifier (          -- one row: the notifier that works, or worked last
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    seen_at  timestamptz NOT NULL,
    channels text[] NOT NULL
);
