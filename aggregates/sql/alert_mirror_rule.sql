INSERT INTO alert_rule (rule, pack, title, title_nl, quantity, unit, level, severity, source, owner, runbook, channels)
VALUES (%(rule)s, %(pack)s, %(title)s, %(title_nl)s, %(quantity)s, %(unit)s, %(level)s, %(severity)s, %(source)s, %(owner)s,
        %(runbook)s, %(channels)s)
ON CONFLICT (rule) DO UPDATE SET pack = excluded.pack, title = excluded.title, title_nl = excluded.title_nl,
    quantity = excluded.quantity, unit = excluded.unit, level = excluded.level, severity = excluded.severity,
    source = excluded.source, owner = excluded.owner, runbook = excluded.runbook, channels = excluded.channels
