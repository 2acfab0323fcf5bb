-- Days that are not what their hours say, where no hour of theirs is dirty.
WITH days AS MATERIALIZED (
    SELECT DISTINCT w.series, date_trunc('day', w.start, q.zone) AS start, q.coverage,
           (date_trunc('day', w.start AT TIME ZONE q.zone) + interval '1 day') AT TIME ZONE q.zone AS "end"
    FROM window_1h w JOIN series s USING (series) JOIN quantity q USING (quantity)
    WHERE w.start >= %(first)s AND w.start < %(last)s
), expected AS (
    {day_evidence}
)
SELECT series, start FROM expected e JOIN days d USING (series, start) LEFT JOIN window_1d h USING (series, start)
WHERE NOT EXISTS (SELECT FROM mark m WHERE m.hour >= start AND m.hour < d."end" AND series = ANY (m.members))
  AND NOT EXISTS (SELECT FROM frozen f WHERE f.day BETWEEN (start AT TIME ZONE 'UTC')::date AND (d."end" AT TIME ZONE 'UTC')::date)
  AND (h.valid_hours IS DISTINCT FROM e.valid_hours OR {compare})
