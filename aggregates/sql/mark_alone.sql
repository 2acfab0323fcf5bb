-- Say of each series of these sensors whether it is the only one of its quantity, and which series stands for them: once
-- it is said, it stays.
UPDATE series s SET alone = n.alone, head = n.head
FROM (
    SELECT series, count(*) OVER w = 1 AS alone, coalesce(min(head) OVER w, min(series) OVER w) AS head
    FROM series WHERE sensor_id IN (SELECT unnest(%(sensor_id)s::text[])) AND channel !~ '^index'
    WINDOW w AS (PARTITION BY sensor_id, quantity)
) n
WHERE s.series = n.series AND (s.alone, s.head) IS DISTINCT FROM (n.alone, n.head)
