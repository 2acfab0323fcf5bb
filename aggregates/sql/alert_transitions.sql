SELECT t.transition, t.kind, t.at, t.about, t.late, t.value, t.threshold, t.coverage, t.text, t.windows
FROM alert_transition t WHERE t.alert = %(alert)s ORDER BY t.transition
