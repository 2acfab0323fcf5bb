-- What happened since, by rule and severity: alerts raised and cleared, those found late, transitions to a channel that a
-- silence kept back, and those that never arrived.
SELECT a.rule, a.severity,
       count(*) FILTER (WHERE a.raised_at > %(since)s AND NOT a.late) AS raised,
       count(*) FILTER (WHERE a.cleared_at > %(since)s AND NOT a.late) AS cleared,
       count(*) FILTER (WHERE a.raised_at > %(since)s AND a.late) AS late,
       coalesce(sum(o.silenced), 0)::bigint AS silenced, coalesce(sum(o.lost), 0)::bigint AS lost
FROM alert a LEFT JOIN (
    SELECT t.alert, count(*) FILTER (WHERE o.held_by IS NOT NULL) AS silenced,
           count(*) FILTER (WHERE o.dropped LIKE 'not delivered%%') AS lost
    FROM outbox o JOIN alert_transition t USING (transition)
    WHERE o.written_at > %(since)s AND o.channel = %(channel)s GROUP BY t.alert
) o USING (alert)
WHERE a.raised_at > %(since)s OR a.cleared_at > %(since)s OR o.alert IS NOT NULL
GROUP BY a.rule, a.severity
