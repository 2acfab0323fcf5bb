-- UTC days whose newest reading came before `limit`, which hold no dirty hour and are not frozen yet. The running and the
-- last day are never frozen.
SELECT day FROM (
    SELECT (start AT TIME ZONE 'UTC')::date AS day, max(received_at) AS newest FROM reading
    WHERE start < %(limit)s + interval '10 minutes'  -- nothing is received longer before its start
    GROUP BY 1
) d
WHERE newest < %(limit)s AND day < (SELECT (closed_until AT TIME ZONE 'UTC')::date FROM rollup)
  AND NOT EXISTS (SELECT FROM mark m WHERE (m.hour AT TIME ZONE 'UTC')::date = day)
ORDER BY day
