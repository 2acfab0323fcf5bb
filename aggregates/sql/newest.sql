-- When the newest window in a range begins, of each of some series, or without channels of their sensors; <table> has them.
SELECT n.series, max(w.start) AS start
FROM unnest(%(series)s::integer[]) n (series)
JOIN series m ON CASE WHEN %(channels)s THEN m.series ELSE m.head END = n.series
CROSS JOIN LATERAL (
    SELECT start FROM <table> WHERE series = m.series AND start >= %(first)s AND start < %(last)s
    ORDER BY start DESC LIMIT 1
) w
GROUP BY n.series
