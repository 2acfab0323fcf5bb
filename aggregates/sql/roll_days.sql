WITH days AS MATERIALIZED (
    SELECT DISTINCT d.series, date_trunc('day', d.start, q.zone) AS start, q.coverage,
           (date_trunc('day', d.start AT TIME ZONE q.zone) + interval '1 day') AT TIME ZONE q.zone AS "end"
    FROM dirty d JOIN series s USING (series) JOIN quantity q USING (quantity)
)
INSERT INTO window_1d AS t (series, start, {evidence}, valid_hours)
{day_evidence}
ON CONFLICT (series, start) DO UPDATE SET {set_evidence}, valid_hours = excluded.valid_hours,
    revision = t.revision + 1, computed_at = now()
