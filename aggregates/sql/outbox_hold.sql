-- Let these wait for the end of a silence.
UPDATE outbox SET held_by = %(silence)s, due_at = %(until)s WHERE channel = %(channel)s AND transition = ANY (%(transitions)s)
