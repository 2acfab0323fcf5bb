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
