-- The quantities and UTC days whose closed hours were written since a moment, and when last; by the time of the roll-up,
-- which writes an hour anew whenever a reading of it changed.
SELECT s.quantity, (date_bin('1 day', w.start, 'epoch') AT TIME ZONE 'UTC')::date AS day, max(w.computed_at)
FROM window_1h w JOIN series s USING (series)
WHERE w.computed_at >= %(since)s AND w.start >= %(first)s AND w.start < least(%(last)s, (SELECT closed_until FROM rollup))
GROUP BY s.quantity, date_bin('1 day', w.start, 'epoch') ORDER BY 1, 2
