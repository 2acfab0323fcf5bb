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
