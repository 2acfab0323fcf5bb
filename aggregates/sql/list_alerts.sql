-- Alerts, the newest first, with the rule that raised them.
SELECT a.alert, a.rule, r.title, a.subject, a.quantity, r.unit, a.level, a.severity,
       CASE WHEN a.state = 'raised' AND a.acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE a.state END AS state,
       a.since, a.until, a.value, a.worst, a.threshold, a.coverage, a.late, a.withdrawn, a.raised_at, a.cleared_at,
       a.acknowledged_at
FROM alert a JOIN alert_rule r USING (rule)
WHERE (%(rule)s::text IS NULL OR a.rule = %(rule)s) AND (%(subject)s::text IS NULL OR a.subject = %(subject)s)
  AND (%(severity)s::text IS NULL OR a.severity = %(severity)s)
  AND (%(open)s::boolean IS NULL OR (a.cleared_at IS NULL) = %(open)s)
  AND (%(after_raised_at)s::timestamptz IS NULL
       OR (a.raised_at, a.alert) < (%(after_raised_at)s, %(after_alert)s::bigint))
ORDER BY a.raised_at DESC, a.alert DESC LIMIT %(limit)s
