INSERT INTO silence (rule, subject, first, last, recurrence, made_by, reason, made_at)
VALUES (%(rule)s, %(subject)s, %(first)s, %(last)s, %(recurrence)s::jsonb, %(made_by)s, %(reason)s, %(now)s)
RETURNING silence
