-- Alerts: what the rules of streams/alerts/rules said of the windows, how it came about, and what must still be told to whom.

CREATE TABLE alert_rule (        -- a mirror of the rule files, written by whoever judges
    rule      text PRIMARY KEY,
    pack      text NOT NULL,     -- the file it stands in
    title     text NOT NULL,
    title_nl  text NOT NULL,
    quantity  text NOT NULL,     -- a quantity, or an index: lki, eaqi
    unit      text NOT NULL,
    level     text NOT NULL,
    severity  text NOT NULL,
    source    text,              -- where the threshold comes from
    owner     text,
    runbook   text,
    channels  text[] NOT NULL
);

-- One alert per rule and subject at a time. It stands for an episode [since, until) of windows, and is the same whatever
-- order the readings came in; `alert_transition` tells how it was found out.
CREATE TABLE alert (
    alert      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule       text NOT NULL,
    subject    text NOT NULL,            -- sensor_id or area code
    quantity   text NOT NULL,
    level      text NOT NULL CHECK (level IN ('5m', '1h', '1d', 'clock')),
    severity   text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    state      text NOT NULL CHECK (state IN ('raised', 'cannot_judge', 'cleared')),
    since      timestamptz NOT NULL,     -- start of the first window that caused it
    until      timestamptz,              -- end of the window that cleared it; null: open
    judged     timestamptz NOT NULL,     -- end of the last window looked at
    sure       timestamptz NOT NULL,     -- end of the last window that could be judged
    calm       integer NOT NULL DEFAULT 0,  -- windows in a row that would clear it
    told       double precision,         -- what the last update compared
    value      double precision,         -- of the last window that could be judged
    worst      double precision,         -- of all
    threshold  double precision NOT NULL,
    coverage   double precision,
    late       boolean NOT NULL DEFAULT false,  -- found in retrospect: it was over when it was found
    withdrawn  boolean NOT NULL DEFAULT false,  -- late data: it never was
    raised_at  timestamptz NOT NULL,     -- by the clock of whoever judged
    updated_at timestamptz NOT NULL,
    cleared_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text
);
CREATE UNIQUE INDEX alert_open ON alert (rule, subject) WHERE cleared_at IS NULL;
CREATE INDEX alert_until ON alert (until);
CREATE INDEX alert_raised ON alert (raised_at);

CREATE TABLE alert_transition (
    transition bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert      bigint NOT NULL REFERENCES alert,
    kind       text NOT NULL CHECK (kind IN ('raised', 'updated', 'cleared', 'cannot_judge', 'acknowledged', 'escalated')),
    at         timestamptz NOT NULL,     -- by the clock of whoever judged
    about      timestamptz,              -- end of the window that decided it
    late       boolean NOT NULL DEFAULT false,
    value      double precision,
    threshold  double precision,
    coverage   double precision,
    windows    jsonb NOT NULL DEFAULT '[]',  -- what caused it: subject, level, start, end, value, coverage, revision
    text       text NOT NULL DEFAULT '',
    text_nl    text NOT NULL DEFAULT ''
);
CREATE INDEX alert_transition_alert ON alert_transition (alert);

CREATE TABLE outbox (            -- one row for each channel that a transition must reach
    transition   bigint NOT NULL REFERENCES alert_transition,
    channel      text NOT NULL,
    written_at   timestamptz NOT NULL,
    due_at       timestamptz NOT NULL,
    attempts     integer NOT NULL DEFAULT 0,
    last_error   text,
    delivered_at timestamptz,
    dropped      text,               -- why it was never sent
    PRIMARY KEY (transition, channel)
);
CREATE INDEX outbox_due ON outbox (due_at) WHERE delivered_at IS NULL AND dropped IS NULL;

CREATE TABLE silence (           -- also quiet hours and maintenance: those that come back every week
    silence    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule       text NOT NULL DEFAULT '*',    -- patterns: * and ?
    subject    text NOT NULL DEFAULT '*',
    first      timestamptz NOT NULL,
    last       timestamptz,                  -- null: for ever
    recurrence jsonb,                        -- weekly windows in the hub's time zone; null: all of [first, last)
    made_by    text NOT NULL,
    reason     text NOT NULL,
    made_at    timestamptz NOT NULL
);

CREATE TABLE alert_clock (       -- windows that ended before this were judged at least once
    level  text PRIMARY KEY,
    judged timestamptz NOT NULL
);
