-- A message arrived.
UPDATE outbox SET delivered_at = %(now)s, attempts = attempts + 1, last_error = NULL WHERE message = %(message)s
