-- Days around the given windows that no hour stands behind.
DELETE FROM window_1d t
USING unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)
JOIN series s USING (series) JOIN quantity q USING (quantity)
WHERE t.series = n.series AND t.start = date_trunc('day', n.start, q.zone)
  AND NOT EXISTS (SELECT FROM window_1h w WHERE w.series = t.series AND w.start >= t.start
                  AND w.start < ((t.start AT TIME ZONE q.zone) + interval '1 day') AT TIME ZONE q.zone)
