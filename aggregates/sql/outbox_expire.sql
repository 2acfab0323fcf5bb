-- What no channel of this name took for too long is given up.
UPDATE outbox SET dropped = %(reason)s
WHERE NOT channel = ANY (%(channels)s::text[]) AND delivered_at IS NULL AND dropped IS NULL AND written_at < %(before)s
