-- Transitions on their way to channels, as `streams.notify.notifier` runs it.

-- name: notifier_beat
-- The notifier runs, and these are its channels.
INSERT INTO notifier (seen_at, channels) VALUES (%(now)s, %(channels)s)
ON CONFLICT (single) DO UPDATE SET seen_at = excluded.seen_at, channels = excluded.channels

-- name: outbox_spread
-- What is for all operators becomes a row for each of the channels.
WITH everyone AS (
    UPDATE outbox SET dropped = %(reason)s WHERE channel = %(everyone)s AND delivered_at IS NULL AND dropped IS NULL
    RETURNING transition, written_at, due_at
)
INSERT INTO outbox (transition, channel, written_at, due_at)
SELECT transition, channel, written_at, due_at FROM everyone, unnest(%(channels)s::text[]) AS channel
ON CONFLICT DO NOTHING

-- name: outbox_expire
-- Give up what no channel of this name took for too long.
UPDATE outbox SET dropped = %(reason)s
WHERE NOT channel = ANY (%(channels)s::text[]) AND delivered_at IS NULL AND dropped IS NULL AND written_at < %(before)s

-- name: list_unanswered_alerts
-- Open alerts that nobody acknowledged since they were delivered (or, delivered nowhere, since they were raised), that no
-- silence keeps back, and that a channel of last resort did not get.
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

-- name: escalate_alerts
-- What nobody acknowledged becomes a transition for a channel of last resort, once.
WITH chosen AS (
    SELECT alert, value, threshold, coverage FROM alert
    WHERE alert = ANY (%(alerts)s) AND cleared_at IS NULL AND acknowledged_at IS NULL
    FOR UPDATE
), noted AS (
    INSERT INTO alert_transition (alert, kind, at, value, threshold, coverage, text, text_nl)
    SELECT alert, 'escalated', %(now)s, value, threshold, coverage, 'nobody has acknowledged it', 'niemand heeft dit opgepakt'
    FROM chosen ORDER BY alert
    RETURNING transition
)
INSERT INTO outbox (transition, channel, written_at, due_at)
SELECT transition, %(channel)s, %(now)s::timestamptz, %(now)s::timestamptz FROM noted

-- name: outbox_open
-- The messages of a channel that were begun and have not arrived.
{outbox_row}
WHERE o.channel = %(channel)s AND o.delivered_at IS NULL AND o.dropped IS NULL AND o.message IS NOT NULL
ORDER BY o.message, o.transition

-- name: outbox_due
-- What is due for a channel: critical alerts first, then in order; the transitions of an alert all have its severity.
{outbox_row}
WHERE o.channel = %(channel)s AND o.delivered_at IS NULL AND o.dropped IS NULL AND o.message IS NULL AND o.due_at <= %(now)s
  AND (a.severity = 'critical' OR NOT %(only_critical)s)
ORDER BY a.severity <> 'critical', o.transition
LIMIT %(limit)s

-- name: outbox_row
-- A row of the outbox with all that a message contains. Where a sensor stands is by the newest areas loaded.
SELECT o.transition, o.message, o.written_at, o.due_at, o.attempts, o.held_by, t.alert, t.kind, t.about, t.late,
       t.value, t.threshold, t.coverage, t.text, t.text_nl, a.rule, a.subject, a.quantity, a.level, a.severity,
       a.since, a.cleared_at IS NOT NULL AS over, a.acknowledged_by, coalesce(r.title, a.rule) AS title,
       coalesce(r.title_nl, '') AS title_nl, coalesce(r.unit, '') AS unit, r.owner, r.runbook,
       coalesce(n.name, own.name) AS name, coalesce(areas.codes, '{}') AS codes, coalesce(areas.names, '{}') AS places,
       EXISTS (
           SELECT FROM outbox other JOIN alert_transition u USING (transition)
           WHERE u.alert = t.alert AND other.channel = o.channel AND other.delivered_at IS NOT NULL
       ) AS sent_before,
       jsonb_build_object(
           'transition', t.transition, 'alert', t.alert, 'kind', t.kind, 'rule', a.rule, 'title', coalesce(r.title, a.rule),
           'subject', a.subject, 'name', coalesce(n.name, own.name), 'codes', coalesce(areas.codes, '{}'),
           'places', coalesce(areas.names, '{}'), 'quantity', a.quantity, 'unit', coalesce(r.unit, ''), 'level', a.level,
           'severity', a.severity, 'late', t.late, 'value', t.value, 'threshold', t.threshold, 'coverage', t.coverage,
           'text', t.text, 'windows', t.windows, 'at', to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
           'about', to_char(t.about AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
           'since', to_char(a.since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')) AS data
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

-- name: outbox_begin
-- Fix what leaves together, before the first attempt.
UPDATE outbox SET message = %(message)s WHERE channel = %(channel)s AND transition = ANY (%(transitions)s)

-- name: outbox_drop
-- Note why these are never sent, and since when.
UPDATE outbox SET dropped = %(reason)s, due_at = %(now)s WHERE channel = %(channel)s AND transition = ANY (%(transitions)s)

-- name: outbox_hold
-- Let these wait for the end of a silence, as if they were written then: there is a day to send them from then on.
UPDATE outbox SET held_by = %(silence)s, due_at = %(until)s, written_at = %(until)s
WHERE channel = %(channel)s AND transition = ANY (%(transitions)s)

-- name: outbox_delivered
-- A message arrived.
UPDATE outbox SET delivered_at = %(now)s, attempts = attempts + 1, last_error = NULL WHERE message = %(message)s

-- name: outbox_failed
-- A message did not arrive: it is due again later.
UPDATE outbox SET attempts = attempts + 1, last_error = %(error)s, due_at = %(due)s WHERE message = %(message)s

-- name: digest_sent
-- Whether the summary of a day was sent.
SELECT EXISTS (SELECT FROM digest WHERE channel = %(channel)s AND day = %(day)s)

-- name: digest_note
-- The summary of a day was sent.
INSERT INTO digest (channel, day, sent_at) VALUES (%(channel)s, %(day)s, %(now)s) ON CONFLICT DO NOTHING

-- name: digest_counts
-- What happened since, by rule and severity: alerts raised and cleared, those found late, transitions to a channel that a
-- silence kept back, and those that never arrived.
WITH sent AS (
    SELECT t.alert, count(*) FILTER (WHERE o.held_by IS NOT NULL AND t.at > %(since)s) AS silenced,
           count(*) FILTER (WHERE o.dropped LIKE 'not delivered%%' AND o.due_at > %(since)s) AS lost
    FROM outbox o JOIN alert_transition t USING (transition)  -- one is given up when it is a day old
    WHERE o.written_at > %(since)s::timestamptz - interval '1 day' AND o.channel = %(channel)s GROUP BY t.alert
)
SELECT a.rule, a.severity,
       count(*) FILTER (WHERE a.raised_at > %(since)s AND NOT a.late) AS raised,
       count(*) FILTER (WHERE a.cleared_at > %(since)s AND NOT a.late) AS cleared,
       count(*) FILTER (WHERE a.raised_at > %(since)s AND a.late) AS late,
       coalesce(sum(o.silenced), 0)::bigint AS silenced, coalesce(sum(o.lost), 0)::bigint AS lost
FROM (
    SELECT alert FROM alert WHERE raised_at > %(since)s UNION SELECT alert FROM alert WHERE cleared_at > %(since)s
    UNION SELECT alert FROM sent
) recent CROSS JOIN LATERAL (SELECT * FROM alert WHERE alert = recent.alert OFFSET 0) a LEFT JOIN sent o ON o.alert = a.alert
GROUP BY a.rule, a.severity
