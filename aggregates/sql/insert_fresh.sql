-- The staged readings that are new.
WITH fresh AS (
    INSERT INTO reading (start, value, weight, covers, version, received_at, series, flags, status)
    SELECT start, value, weight, covers, version, received_at, series, flags, status FROM stage ORDER BY series, start
    ON CONFLICT (series, start) DO NOTHING
    RETURNING series, start
)
INSERT INTO judged (series, start, outcome) SELECT series, start, 0 FROM fresh
