-- Days that are not what their hours say, where no hour of theirs is dirty; those without a row and without hours included.
WITH days AS MATERIALIZED (
    SELECT series, start, coverage, ((start AT TIME ZONE zone) + interval '1 day') AT TIME ZONE zone AS "end"
    FROM (
        SELECT w.series, date_trunc('day', w.start, q.zone) AS start, q.coverage, q.zone
        FROM window_1h w JOIN series s USING (series) JOIN quantity q USING (quantity)
        WHERE w.start >= %(first)s AND w.start < %(last)s
        UNION
        SELECT w.series, w.start, q.coverage, q.zone
        FROM window_1d w JOIN series s USING (series) JOIN quantity q USING (quantity)
        WHERE w.start >= %(first)s AND w.start < %(last)s
    ) labels
), expected AS (
    {day_evidence}
)
SELECT series, start FROM days d LEFT JOIN expected e USING (series, start) LEFT JOIN window_1d h USING (series, start)
WHERE NOT EXISTS (SELECT FROM mark m WHERE m.hour >= start AND m.hour < d."end" AND series = ANY (m.members))
  AND NOT EXISTS (SELECT FROM frozen f WHERE f.day BETWEEN (start AT TIME ZONE 'UTC')::date AND (d."end" AT TIME ZONE 'UTC')::date)
  AND (h.valid_hours IS DISTINCT FROM e.valid_hours OR {compare})
