-- Alerts of these rules that a span of windows may belong to, and those just before it.
SELECT alert, rule, subject, since, until, judged, sure, value, worst, threshold, coverage, told, calm, state, late
FROM alert
WHERE rule = ANY(%(rules)s) AND NOT withdrawn AND (until IS NULL OR until > %(first)s) AND since < %(last)s
  AND (%(subjects)s::text[] IS NULL OR subject = ANY(%(subjects)s))
ORDER BY since
