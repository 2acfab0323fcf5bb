-- Messages and readings that could not be stored.

-- name: upsert_dead_letters
-- Store dead letters; one that is there already is counted again.
INSERT INTO dead_letter AS d (key, source, topic, payload, size, reason, count, first_at, last_at)
SELECT key, source, topic, payload, size, reason, count, received_at, received_at
FROM unnest(%(key)s::bytea[], %(source)s::text[], %(topic)s::text[], %(payload)s::bytea[], %(size)s::int[],
            %(reason)s::text[], %(count)s::bigint[], %(received_at)s::timestamptz[])
     AS n (key, source, topic, payload, size, reason, count, received_at)
ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    count    = d.count + excluded.count,
    payload  = coalesce(d.payload, excluded.payload),
    first_at = least(d.first_at, excluded.first_at),
    last_at  = greatest(d.last_at, excluded.last_at)

-- name: list_dead_letters
-- Dead letters, the newest first.
SELECT encode(key, 'hex') AS key, source, topic, reason, count, first_at, last_at, size, payload
FROM dead_letter
WHERE (%(source)s::text IS NULL OR source = %(source)s) AND (%(reason)s::text IS NULL OR strpos(reason, %(reason)s) > 0)
  AND (%(after_last_at)s::timestamptz IS NULL
       OR (last_at, encode(key, 'hex')) < (%(after_last_at)s, %(after_key)s::text))
ORDER BY last_at DESC, encode(key, 'hex') DESC LIMIT %(limit)s

-- name: delete_dead_letters
-- Delete letters that were published again; one that failed again meanwhile stays, with the new failures only.
WITH listed AS (
    SELECT decode(key, 'hex') AS key, count FROM unnest(%(key)s::text[], %(count)s::bigint[]) AS n (key, count)
), again AS (
    UPDATE dead_letter d SET count = d.count - n.count, first_at = d.last_at
    FROM listed n WHERE d.key = n.key AND d.count > n.count
)
DELETE FROM dead_letter d USING listed n WHERE d.key = n.key AND d.count <= n.count

-- name: delete_old_payloads
-- Delete the payloads of letters that are older than `limit`; the rest of the letter stays. So with names of messages.
WITH named AS (DELETE FROM message_identity WHERE first_at < %(limit)s)
UPDATE dead_letter SET payload = NULL WHERE payload IS NOT NULL AND last_at < %(limit)s
