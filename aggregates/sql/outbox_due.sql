-- What a channel is due, in order.
{outbox_row}
WHERE o.channel = %(channel)s AND o.delivered_at IS NULL AND o.dropped IS NULL AND o.message IS NULL AND o.due_at <= %(now)s
ORDER BY o.transition
LIMIT %(limit)s
