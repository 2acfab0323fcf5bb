-- Closed hours, neither dirty nor frozen, that are not what their 5-minute rows say.
SELECT series, start FROM (
    SELECT w.series, date_trunc('hour', w.start, 'UTC') AS start, {sum_up}
    FROM window_5m w
    WHERE w.start >= %(first)s AND w.start < least(%(last)s, (SELECT closed_until FROM rollup))
    GROUP BY 1, 2
) e FULL JOIN (
    SELECT * FROM window_1h
    WHERE start >= %(first)s AND start < least(%(last)s, (SELECT closed_until FROM rollup))
) h USING (series, start)
WHERE NOT EXISTS (SELECT FROM frozen f WHERE f.day = (start AT TIME ZONE 'UTC')::date)
  AND NOT EXISTS (SELECT FROM mark m WHERE m.hour = start AND series = ANY (m.members))
  AND ({compare})
