-- What every session that writes needs: tables of its own, emptied by each commit. A row of `touched` adds nothing to its
-- 5-minute row but what it is given: no NOT NULL, nor a column too many, for every batch is copied into it.
CREATE TEMP TABLE stage (LIKE reading) ON COMMIT DELETE ROWS;
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
CREATE TEMP TABLE dirty (series integer, start timestamptz) ON COMMIT DELETE ROWS
