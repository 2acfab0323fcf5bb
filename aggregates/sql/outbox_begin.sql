-- Fix what leaves together, before the first attempt.
UPDATE outbox SET message = %(message)s WHERE channel = %(channel)s AND transition = ANY (%(transitions)s)
