-- A message did not arrive: it is due again later.
UPDATE outbox SET attempts = attempts + 1, last_error = %(error)s, due_at = %(due)s WHERE message = %(message)s
