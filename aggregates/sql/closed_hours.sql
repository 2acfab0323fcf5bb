-- The closed hours of a series s that start in [first, last).
w.start FROM window_1h w
WHERE w.series = s.series AND w.start >= %(first)s AND w.start < least(%(last)s, (SELECT closed_until FROM rollup))
