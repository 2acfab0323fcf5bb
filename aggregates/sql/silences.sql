-- Silences that are or will be, or all.
SELECT silence, rule, subject, first, last, recurrence, made_by, reason, made_at
FROM silence WHERE last IS NULL OR last > %(now)s OR %(everything)s
ORDER BY silence
