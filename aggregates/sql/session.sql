-- What a session of the store needs, whatever it does.

-- name: start_session
-- A machine that vanished is noticed after half a minute, here as at the server, not after hours: what its worker had
-- locked is another one's to do. So is what a process holds that hangs in a transaction. With `constraint_exclusion` who asks
-- for closed hours does not look at those that run (`aggregate_1h`).
SET timezone = 'UTC';
SET constraint_exclusion = on;
SET idle_in_transaction_session_timeout = '5min';
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 4

-- name: start_reading_session
-- A session that only reads: no statement of it may write or take longer than `patience`. A role that its user may not
-- have is left out.
SELECT set_config('default_transaction_read_only', 'on', false), set_config('statement_timeout', %(patience)s, false),
       (SELECT set_config('role', rolname, false) FROM pg_roles
        WHERE rolname = %(role)s AND pg_has_role(current_user, oid, 'MEMBER'))

-- name: look_back
-- In this transaction closed windows, the figures of areas and the catalogue are what they were at a moment.
SELECT set_config('search_path', 'as_of, ' || current_setting('search_path'), true),
       set_config('stadspuls.as_of', %(moment)s, true)

-- name: plan_for_days
-- For statements over days of many series: what they remember meanwhile stays in memory.
SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true)

-- name: create_session_tables
-- The temporary tables of a session that writes, emptied by each commit. A row of `stage` is a reading, or what becomes of
-- one. A row of `touched` adds nothing to its 5-minute row but what it is given: no NOT NULL, nor a column too many, for
-- every batch is copied into it.
CREATE TEMP TABLE stage ON COMMIT DELETE ROWS AS SELECT * FROM reading WITH NO DATA;
CREATE TEMP TABLE judged (series integer, start timestamptz, outcome smallint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE touched (
    start    timestamptz,
    total    double precision DEFAULT 0,
    weight   double precision DEFAULT 0,
    weighted double precision DEFAULT 0,
    squares  double precision DEFAULT 0,
    harmonic double precision DEFAULT 0,
    minimum  double precision,
    maximum  double precision,
    covered  double precision DEFAULT 0,
    series   integer,
    readings integer DEFAULT 0,
    nothing  integer DEFAULT 0,
    flagged  integer DEFAULT 0,
    failed   integer DEFAULT 0,
    warned   integer DEFAULT 0,
    status   smallint DEFAULT 1
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE dirty (series integer, start timestamptz) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE dirty_sensor (head integer, start timestamptz) ON COMMIT DELETE ROWS

-- name: take_session_lock
-- Whether this session has the advisory lock of a name, taking it where it is free; it ends with the session.
SELECT pg_try_advisory_lock(hashtext(%(name)s))

-- name: pack_rows
-- The rows of a statement, each packed as bytes, put together, and how many they are. A value has at most 1 GB: what may
-- have more is packed by months, which costs a sort.
SELECT string_agg(v.bytes, ''::bytea), count(*) FROM (<statement>) v
