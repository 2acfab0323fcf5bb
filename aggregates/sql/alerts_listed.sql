-- Alerts with where they are and who saw to them, the newest first.
SELECT a.alert, a.rule, coalesce(r.title, a.rule) AS title,
       coalesce(r.title_nl, a.rule) AS title_nl, a.subject, coalesce(n.name, own.name) AS name, a.quantity, a.level,
       a.severity,
       CASE WHEN a.state = 'raised' AND a.acknowledged_at IS NOT NULL THEN 'acknowledged' ELSE a.state END AS state,
       a.since, a.until, a.value, a.worst, a.threshold, coalesce(r.unit, '') AS unit, a.coverage, a.late, a.withdrawn,
       a.raised_at, a.updated_at, a.cleared_at, a.acknowledged_at, a.acknowledged_by, n.lon, n.lat
FROM alert a
LEFT JOIN alert_rule r USING (rule)
LEFT JOIN sensor n ON n.sensor_id = a.subject
LEFT JOIN LATERAL (SELECT name FROM area WHERE code = a.subject ORDER BY vintage DESC LIMIT 1) own ON true
WHERE (%(everything)s OR a.cleared_at IS NULL) AND (%(rule)s::text IS NULL OR a.rule = %(rule)s)
    AND (%(subject)s::text IS NULL OR a.subject = %(subject)s)
ORDER BY a.alert DESC LIMIT %(limit)s::bigint
