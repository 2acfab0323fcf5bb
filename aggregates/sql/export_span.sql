-- The quantities and UTC days from the first closed hour to the last, as written now: what may be in an export that has
-- nothing yet. Two looks at the index for each series, where `export_changed` reads every hour.
SELECT r.quantity, d.day::date, now()
FROM (
    SELECT s.quantity, min(a.start) AS first, max(b.start) AS last
    FROM series s
    CROSS JOIN LATERAL (SELECT {closed_hours} ORDER BY w.start LIMIT 1) a
    CROSS JOIN LATERAL (SELECT {closed_hours} ORDER BY w.start DESC LIMIT 1) b
    GROUP BY s.quantity
) r
CROSS JOIN LATERAL generate_series(
    date_trunc('day', r.first AT TIME ZONE 'UTC'), r.last AT TIME ZONE 'UTC', '1 day') d (day)
