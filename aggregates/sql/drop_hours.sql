-- Hours around the given windows that no 5-minute row stands behind.
DELETE FROM window_1h h USING unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)
WHERE h.series = n.series AND h.start = date_trunc('hour', n.start, 'UTC')
  AND NOT EXISTS (SELECT FROM window_5m w
                  WHERE w.series = h.series AND w.start >= h.start AND w.start < h.start + interval '1 hour')
