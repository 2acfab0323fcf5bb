-- Say why these are never sent.
UPDATE outbox SET dropped = %(reason)s WHERE channel = %(channel)s AND transition = ANY (%(transitions)s)
