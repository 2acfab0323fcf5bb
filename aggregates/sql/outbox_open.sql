-- The message of a channel that was begun and has not arrived.
{outbox_row}
WHERE o.channel = %(channel)s AND o.delivered_at IS NULL AND o.dropped IS NULL AND o.message IS NOT NULL
ORDER BY o.transition
