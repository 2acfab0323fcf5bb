-- One row for each alert: when it began and ended, its text, and its tags separated by commas; %s is a condition.
SELECT a.since AS time, coalesce(a.until, least(now(), $__timeTo()::timestamptz)) AS timeend,
       coalesce(nullif(t.text, ''), a.rule || ': ' || a.subject) AS text,
       concat_ws(',', a.severity, a.rule, a.subject) AS tags
FROM alert a LEFT JOIN LATERAL (
    SELECT text FROM alert_transition WHERE alert = a.alert AND kind = 'raised' ORDER BY transition LIMIT 1
) t ON true
WHERE NOT a.withdrawn AND a.since < $__timeTo()::timestamptz
  AND coalesce(a.until, 'infinity') > $__timeFrom()::timestamptz AND (%s)
ORDER BY 1
