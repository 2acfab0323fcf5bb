-- How many windows a range has, by level.
SELECT (SELECT count(*) FROM window_5m WHERE start >= %(first)s AND start < %(last)s),
       (SELECT count(*) FROM window_1h WHERE start >= %(first)s AND start < %(last)s),
       (SELECT count(*) FROM window_1d WHERE start >= %(first)s AND start < %(last)s)
