-- Somebody has seen to an open alert; whoever was told of it is told so.
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
