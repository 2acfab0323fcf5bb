-- The UTC days with hours that were written since the last proof: by the time of the roll-up, not of receipt, for a batch may
-- wait long for its commit.
SELECT DISTINCT (start AT TIME ZONE 'UTC')::date
FROM window_1h WHERE computed_at >= (SELECT reconciled FROM rollup) ORDER BY 1
