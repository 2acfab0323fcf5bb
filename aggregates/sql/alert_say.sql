-- Transitions with the windows that caused them, and a row in the outbox for each channel they must reach.
WITH said AS (
    INSERT INTO alert_transition (alert, kind, at, about, late, value, threshold, coverage, windows, text, text_nl)
    SELECT n.alert, n.kind, %(now)s, n.about, n.late, n.value, n.threshold, n.coverage, n.windows, n.text, n.text_nl
    FROM unnest(%(alert)s::bigint[], %(kind)s::text[], %(about)s::timestamptz[], %(late)s::boolean[], %(value)s::float8[],
                %(threshold)s::float8[], %(coverage)s::float8[], %(windows)s::jsonb[], %(text)s::text[], %(text_nl)s::text[])
        AS n (alert, kind, about, late, value, threshold, coverage, windows, text, text_nl)
    RETURNING transition, alert, kind, about
)
INSERT INTO outbox (transition, channel, written_at, due_at)
SELECT s.transition, c.channel, %(now)s, %(now)s
FROM said s JOIN unnest(%(to_alert)s::bigint[], %(to_kind)s::text[], %(to_about)s::timestamptz[], %(to_channel)s::text[])
    AS c (alert, kind, about, channel) ON c.alert = s.alert AND c.kind = s.kind AND c.about = s.about
