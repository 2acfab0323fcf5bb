-- One window of each of some series; <view> is aggregate_* or sensor_*. OFFSET 0 asks it for one series and start at a time.
SELECT {window_numbers}
FROM unnest(%(series)s::integer[], %(start)s::timestamptz[]) n (series, start)
CROSS JOIN LATERAL (SELECT * FROM <view> WHERE series = n.series AND start = n.start OFFSET 0) v
WHERE %(coverage)s::float8 = 0 OR v.coverage >= %(coverage)s
