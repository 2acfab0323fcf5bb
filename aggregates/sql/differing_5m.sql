-- 5-minute rows that are not what their readings say, those without a row and those without readings included.
SELECT series, start FROM (
    SELECT r.series, date_bin('5 minutes', r.start, 'epoch') AS start, {fold}
    FROM reading r WHERE r.start >= %(first)s AND r.start < %(last)s
    GROUP BY 1, 2
) e FULL JOIN (
    SELECT * FROM window_5m WHERE start >= %(first)s AND start < %(last)s
) h USING (series, start)
WHERE NOT EXISTS (SELECT FROM frozen f WHERE f.day = (start AT TIME ZONE 'UTC')::date)
  AND ({compare})
