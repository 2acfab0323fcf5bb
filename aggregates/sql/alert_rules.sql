-- The rules that are judged, as whoever judges has named them.
SELECT rule, title, quantity, unit, level, severity, pack, source, owner, runbook, channels
FROM alert_rule WHERE rule > %(after)s ORDER BY rule LIMIT %(limit)s
