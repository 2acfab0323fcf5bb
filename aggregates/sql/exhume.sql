-- Letters that were published again; one that failed again meanwhile stays, with the new failures only.
WITH listed AS (
    SELECT decode(key, 'hex') AS key, count FROM unnest(%(key)s::text[], %(count)s::bigint[]) AS n (key, count)
), again AS (
    UPDATE dead_letter d SET count = d.count - n.count, first_at = d.last_at
    FROM listed n WHERE d.key = n.key AND d.count > n.count
)
DELETE FROM dead_letter d USING listed n WHERE d.key = n.key AND d.count <= n.count
