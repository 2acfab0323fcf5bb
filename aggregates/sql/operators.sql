-- What operators ask of alerts and do to them: lists, acknowledgements and silences, as `streams.notify.operators` runs it.

-- name: may_act
-- Whether this session's role may acknowledge and silence.
SELECT has_table_privilege('alert', 'UPDATE') AND has_table_privilege('silence', 'INSERT')

-- name: acknowledge_alert
-- Acknowledge an open alert; every channel that it was delivered to gets that, too.
WITH seen AS (
    UPDATE alert SET acknowledged_at = %(now)s, acknowledged_by = %(by)s, updated_at = %(now)s
    WHERE alert = %(alert)s AND cleared_at IS NULL AND acknowledged_at IS NULL
    RETURNING alert, value, threshold, coverage
), noted AS (
    INSERT INTO alert_transition (alert, kind, at, value, threshold, coverage, text, text_nl)
    SELECT alert, 'acknowledged', %(now)s, value, threshold, coverage, 'seen to by ' || %(by)s, 'opgepakt door ' || %(by)s
    FROM seen
    RETURNING transition
)
INSERT INTO outbox (transition, channel, written_at, due_at)
SELECT DISTINCT n.transition, o.channel, %(now)s::timestamptz, %(now)s::timestamptz
FROM noted n, outbox o JOIN alert_transition t USING (transition)
WHERE t.alert = %(alert)s AND o.delivered_at IS NOT NULL

-- name: is_acknowledged
-- Who acknowledged an open alert; no row where nobody did.
SELECT acknowledged_by FROM alert WHERE alert = %(alert)s AND cleared_at IS NULL AND acknowledged_at IS NOT NULL

-- name: insert_silence
-- A silence; returns its number.
INSERT INTO silence (rule, subject, first, last, recurrence, made_by, reason, made_at)
VALUES (%(rule)s, %(subject)s, %(first)s, %(last)s, %(recurrence)s::jsonb, %(made_by)s, %(reason)s, %(now)s)
RETURNING silence

-- name: list_silences
-- Silences that are or will be. A stamp beyond the year 9999, which older versions took, could not be read.
SELECT silence, rule, subject, least(first, '2100-01-01Z') AS first, least(last, '2100-01-01Z') AS last,
       coalesce(recurrence, '[]') AS weekly, made_by, reason
FROM silence WHERE last IS NULL OR last > %(now)s
ORDER BY silence

-- name: end_silence
-- End a silence now, and let what waited for it be due; one that is over stays as it was.
WITH ended AS (
    UPDATE silence SET last = greatest(first, %(now)s) WHERE silence = %(silence)s AND (last IS NULL OR last > %(now)s)
    RETURNING silence
), released AS (
    UPDATE outbox SET due_at = %(now)s, written_at = %(now)s FROM ended WHERE held_by = silence AND delivered_at IS NULL AND dropped IS NULL
)
SELECT silence FROM ended

-- name: outbox_state
-- How delivery stands, by channel: what waits, what is held by a silence, the oldest that is due, the last error.
SELECT channel, count(*) AS waiting, count(*) FILTER (WHERE due_at > %(now)s AND held_by IS NOT NULL AND message IS NULL) AS held,
       coalesce(extract(epoch FROM %(now)s - min(written_at) FILTER (
           WHERE NOT (due_at > %(now)s AND held_by IS NOT NULL AND message IS NULL)))::float8, 0) AS oldest,
       max(attempts) AS attempts, (array_agg(last_error ORDER BY transition) FILTER (WHERE last_error IS NOT NULL))[1] AS last_error
FROM outbox WHERE delivered_at IS NULL AND dropped IS NULL
GROUP BY channel ORDER BY channel

-- name: count_open_alerts
-- Open alerts by severity.
SELECT severity, count(*) FROM alert WHERE cleared_at IS NULL GROUP BY severity

-- name: list_alert_rules
-- The rules that are judged, as the judging process has read them.
SELECT rule, title, title_nl, quantity, unit, level, severity, pack, source, owner, runbook, channels
FROM alert_rule WHERE judged AND (%(after_rule)s::text IS NULL OR rule > %(after_rule)s) ORDER BY rule LIMIT %(limit)s
