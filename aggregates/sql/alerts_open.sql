SELECT severity, count(*) FROM alert WHERE cleared_at IS NULL GROUP BY severity
