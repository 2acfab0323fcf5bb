-- What is for all operators becomes a row for each of the channels.
WITH everyone AS (
    UPDATE outbox SET dropped = %(reason)s WHERE channel = %(everyone)s AND delivered_at IS NULL AND dropped IS NULL
    RETURNING transition, written_at, due_at
)
INSERT INTO outbox (transition, channel, written_at, due_at)
SELECT transition, channel, written_at, due_at FROM everyone, unnest(%(channels)s::text[]) AS channel
ON CONFLICT DO NOTHING
