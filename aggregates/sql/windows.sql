-- The windows of some series; <view> is aggregate_* or sensor_*.
SELECT {window_numbers}
FROM <view> v
WHERE v.series = ANY (%(series)s::integer[]) AND v.start >= %(first)s AND v.start < %(last)s
  AND (%(coverage)s::float8 = 0 OR v.coverage >= %(coverage)s)
