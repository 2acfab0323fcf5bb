-- Open alerts that nobody acknowledged since they were told (or, told nowhere, since they were raised), that no silence
-- keeps back, and that a channel of last resort was not told of.
SELECT alert, rule, severity FROM alert a
WHERE state = 'raised' AND cleared_at IS NULL AND acknowledged_at IS NULL AND NOT late AND raised_at <= %(before)s
    AND NOT EXISTS (
        SELECT FROM alert_transition t JOIN outbox o USING (transition)
        WHERE t.alert = a.alert AND (
            t.kind = 'escalated' AND o.channel = %(channel)s
            OR o.held_by IS NOT NULL AND o.delivered_at IS NULL AND o.dropped IS NULL)
    )
    AND coalesce((SELECT min(o.delivered_at) FROM alert_transition t JOIN outbox o USING (transition) WHERE t.alert = a.alert),
                 raised_at) <= %(before)s
ORDER BY alert
