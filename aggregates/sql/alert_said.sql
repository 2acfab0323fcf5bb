-- What was said of these alerts.
SELECT alert, kind, about FROM alert_transition WHERE alert = ANY(%(alerts)s)
