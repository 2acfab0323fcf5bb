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

-- name: list_dead_letters, planned each time
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

-- name: merge_old_letters
-- Letters older than `limit` go with their payloads; of each cause one stays, which counts them. So with names of messages.
WITH named AS (DELETE FROM message_identity WHERE first_at < %(limit)s), old AS (
    DELETE FROM dead_letter WHERE last_at < %(limit)s AND key <> {key_of_cause}
    RETURNING source, topic, reason, size, count, first_at, last_at
)
INSERT INTO dead_letter AS d (key, source, topic, size, reason, count, first_at, last_at)
SELECT {key_of_cause}, source, topic, max(size), reason, sum(count), min(first_at), max(last_at)
FROM old GROUP BY source, topic, reason
ON CONFLICT (key) DO UPDATE SET count = d.count + excluded.count, size = greatest(d.size, excluded.size),
    first_at = least(d.first_at, excluded.first_at), last_at = greatest(d.last_at, excluded.last_at)

-- name: key_of_cause
-- The key of the letter without a payload that stands for all old ones of a source, topic and reason.
sha256(convert_to(jsonb_build_array(source, topic, reason)::text, 'UTF8'))
