-- The hours of one area since `first`.
SELECT start, value, estimate, coverage, valid, 0 AS nothing, flagged, failed, 0 AS warned
FROM area_1h
WHERE code = %(code)s AND vintage = %(vintage)s AND quantity = %(quantity)s AND start >= %(first)s AND start <= %(now)s
ORDER BY start
