UPDATE dead_letter SET payload = NULL WHERE payload IS NOT NULL AND last_at < %(limit)s
