-- What waited for a silence that was ended is due.
UPDATE outbox SET due_at = %(now)s WHERE held_by = %(silence)s AND delivered_at IS NULL AND dropped IS NULL
