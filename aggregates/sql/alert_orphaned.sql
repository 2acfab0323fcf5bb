-- Open alerts of rules that are not there any more are cleared; every channel that was or will be told of one is told why.
WITH gone AS (
    UPDATE alert SET state = 'cleared', until = %(now)s, cleared_at = %(now)s, updated_at = %(now)s
    WHERE cleared_at IS NULL AND rule <> ALL(%(rules)s::text[])
    RETURNING alert, value, threshold, coverage, late
), noted AS (
    INSERT INTO alert_transition (alert, kind, at, about, late, value, threshold, coverage, text, text_nl)
    SELECT alert, 'cleared', %(now)s, %(now)s, late, value, threshold, coverage,
           'its rule was removed or renamed: nothing judges this any more',
           'de regel is weggehaald of hernoemd: dit wordt niet meer beoordeeld'
    FROM gone ORDER BY alert
    RETURNING transition, alert
), told AS (
    INSERT INTO outbox (transition, channel, written_at, due_at)
    SELECT DISTINCT n.transition, o.channel, %(now)s::timestamptz, %(now)s::timestamptz
    FROM noted n JOIN alert_transition t USING (alert) JOIN outbox o ON o.transition = t.transition
    WHERE o.dropped IS NULL
)
SELECT count(*) FROM noted
