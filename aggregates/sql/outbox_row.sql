-- A row of the outbox with all that a message says. Where a sensor stands is by the newest areas loaded.
SELECT o.transition, o.message, o.written_at, o.due_at, o.attempts, o.held_by, t.alert, t.kind, t.at, t.about, t.late,
       t.value, t.threshold, t.coverage, t.windows, t.text, t.text_nl, a.rule, a.subject, a.quantity, a.level, a.severity,
       a.since, a.worst, a.cleared_at IS NOT NULL AS over, a.acknowledged_by, coalesce(r.title, a.rule) AS title,
       coalesce(r.title_nl, '') AS title_nl, coalesce(r.unit, '') AS unit, r.owner, r.runbook,
       coalesce(n.name, own.name) AS name, coalesce(areas.codes, '{}') AS codes, coalesce(areas.names, '{}') AS places,
       EXISTS (
           SELECT FROM outbox told JOIN alert_transition u USING (transition)
           WHERE u.alert = t.alert AND told.channel = o.channel AND told.delivered_at IS NOT NULL
       ) AS told
FROM outbox o
JOIN alert_transition t USING (transition)
JOIN alert a USING (alert)
LEFT JOIN alert_rule r ON r.rule = a.rule
LEFT JOIN sensor n ON n.sensor_id = a.subject
LEFT JOIN LATERAL (
    SELECT name FROM area WHERE code = a.subject ORDER BY vintage DESC LIMIT 1
) own ON true
LEFT JOIN LATERAL (
    SELECT array_agg(s.code ORDER BY length(s.code) DESC) AS codes, array_agg(g.name ORDER BY length(s.code) DESC) AS names
    FROM sensor_area s JOIN area g USING (vintage, code)
    WHERE s.sensor_id = a.subject AND s.until = 'infinity' AND s.vintage = (SELECT max(vintage) FROM area)
) areas ON true
