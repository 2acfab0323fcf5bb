-- The tables of the hub. Figures are never stored, only their evidence: views.sql makes figures of it.

CREATE TABLE quantity (          -- a mirror of ingest/vocabulary/quantities.py, written by every migration
    quantity    text PRIMARY KEY,
    unit        text NOT NULL,
    aggregation text NOT NULL CHECK (aggregation IN ('sum', 'mean', 'weighted_mean')),
    zone        text NOT NULL,   -- where its day begins and ends
    coverage    double precision NOT NULL,
    memory      double precision NOT NULL,  -- s that its neighbour rules reach; 0: it has none
    hours       integer          -- valid hours that make a valid day; null: the coverage decides
);

CREATE TABLE source (            -- a mirror of ingest/vocabulary/sources.py
    source         text PRIMARY KEY,
    title          text NOT NULL,
    class          text NOT NULL,
    licence        text NOT NULL,
    commercial_use boolean NOT NULL
);

CREATE TABLE sensor (
    sensor_id     text PRIMARY KEY,
    source        text NOT NULL,
    name          text,
    kind          text,
    lon           double precision,
    lat           double precision,
    lanes         integer,
    inferred      boolean NOT NULL DEFAULT false,  -- lanes were guessed from the supplier's layout
    interval      double precision,                -- s between instants
    overrides     jsonb NOT NULL DEFAULT '{}',     -- quantity -> {low, high, spike, stuck}
    catalogued    boolean NOT NULL DEFAULT false,  -- imported by hand: messages only fill its gaps
    registered_at timestamptz NOT NULL DEFAULT now()
);

CREATE SEQUENCE catalogue_version;                 -- moves when an import may have changed what workers remember

CREATE TABLE series (
    series    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sensor_id text NOT NULL REFERENCES sensor,
    quantity  text NOT NULL REFERENCES quantity,
    channel   text NOT NULL,
    period    integer NOT NULL CHECK (period >= 0),  -- s, 0 is an instant
    alone     boolean NOT NULL DEFAULT false,        -- the only series of its sensor and quantity, index channels aside
    UNIQUE (sensor_id, quantity, channel, period)
);

CREATE TABLE reading (
    start       timestamptz NOT NULL,
    value       double precision,
    weight      double precision NOT NULL,
    covers      double precision,            -- s; null: unknown
    version     bigint NOT NULL,             -- us since 1970, 0: the supplier gives none
    received_at timestamptz NOT NULL,
    series      integer NOT NULL,
    flags       integer NOT NULL,
    status      smallint NOT NULL,
    PRIMARY KEY (series, start)              -- the fence: nothing is counted twice
);

CREATE TABLE window_5m (
    start       timestamptz NOT NULL,
    total       double precision NOT NULL,
    weight      double precision NOT NULL,
    weighted    double precision NOT NULL,
    squares     double precision NOT NULL,
    harmonic    double precision NOT NULL,   -- sum of weight / value, value at least 1: meaningful for speeds
    minimum     double precision,
    maximum     double precision,
    covered     double precision,            -- s; null: a reading's covers is unknown
    computed_at timestamptz NOT NULL DEFAULT now(),
    series      integer NOT NULL,
    readings    integer NOT NULL,            -- with a value that counts
    nothing     integer NOT NULL,            -- observed, nothing to measure
    flagged     integer NOT NULL,            -- with a value that a flag keeps out
    failed      integer NOT NULL,            -- without a value, with a flag
    warned      integer NOT NULL,            -- count, with a flag that only warns
    revision    integer NOT NULL DEFAULT 1,
    status      smallint NOT NULL,           -- the worst
    PRIMARY KEY (series, start)
);

CREATE TABLE window_1h (LIKE window_5m INCLUDING ALL);
CREATE TABLE window_1d (LIKE window_5m INCLUDING ALL, valid_hours integer NOT NULL);

CREATE TABLE mark (              -- hours whose 5-minute rows changed; appended, never updated
    mark    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hour    timestamptz NOT NULL,
    members integer[] NOT NULL         -- series
);

CREATE TABLE rollup (            -- one row: hours before `closed_until` are served from window_1h
    single       boolean PRIMARY KEY DEFAULT true CHECK (single),
    closed_until timestamptz NOT NULL,
    reconciled   timestamptz                 -- readings received before this are proven
);
INSERT INTO rollup (closed_until) VALUES ('2000-01-01 00:00+00');

CREATE TABLE log_position (
    topic     text NOT NULL,
    partition integer NOT NULL,
    position  bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE accounting (        -- received = stored + duplicate + corrected + rejected, by UTC day of receipt
    source    text NOT NULL,
    day       date NOT NULL,
    received  bigint NOT NULL,
    stored    bigint NOT NULL,
    duplicate bigint NOT NULL,
    corrected bigint NOT NULL,
    rejected  bigint NOT NULL,
    PRIMARY KEY (source, day)
);

CREATE TABLE dead_letter (
    key      bytea PRIMARY KEY,  -- sha256 of source, topic, payload and reason
    source   text NOT NULL,
    topic    text NOT NULL,
    payload  bytea,              -- null once forgotten
    size     integer NOT NULL,
    reason   text NOT NULL,
    count    bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL
);

CREATE TABLE frozen (            -- UTC days whose readings were dropped: their aggregates stay as they are
    day       date PRIMARY KEY,
    frozen_at timestamptz NOT NULL DEFAULT now()
);
