-- What every session that writes needs: tables of its own, emptied by each commit.
CREATE TEMP TABLE stage (LIKE reading) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE judged (series integer, start timestamptz, outcome smallint) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE touched (LIKE window_5m INCLUDING DEFAULTS) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE dirty (series integer, start timestamptz) ON COMMIT DELETE ROWS
