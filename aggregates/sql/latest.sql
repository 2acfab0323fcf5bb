-- Of each of some series the newest window in a range; <view> is aggregate_* or sensor_*, <table> what it is made of.
-- OFFSET 0 asks the view for one series and start at a time.
SELECT {window_numbers}
FROM unnest(%(series)s::integer[]) n (series)
CROSS JOIN LATERAL (
    SELECT max(w.start) AS start
    FROM series m CROSS JOIN LATERAL (
        SELECT start FROM <table> WHERE series = m.series AND start >= %(first)s AND start < %(last)s
        ORDER BY start DESC LIMIT 1
    ) w
    WHERE m.series = n.series OR (NOT %(channels)s AND m.head = n.series)
) newest
CROSS JOIN LATERAL (SELECT * FROM <view> WHERE series = n.series AND start = newest.start OFFSET 0) v
WHERE %(coverage)s::float8 = 0 OR v.coverage >= %(coverage)s
