-- The UTC days with readings that came or changed since the last proof.
SELECT DISTINCT (start AT TIME ZONE 'UTC')::date
FROM reading WHERE received_at >= coalesce((SELECT reconciled FROM rollup), '-infinity') ORDER BY 1
