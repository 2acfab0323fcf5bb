-- How delivery stands, by channel: what waits, what is held by a silence, the oldest that is due, what went wrong last.
SELECT channel, count(*) AS waiting, count(*) FILTER (WHERE due_at > %(now)s AND held_by IS NOT NULL AND message IS NULL) AS held,
       coalesce(extract(epoch FROM %(now)s - min(written_at) FILTER (
           WHERE NOT (due_at > %(now)s AND held_by IS NOT NULL AND message IS NULL)))::float8, 0) AS oldest,
       max(attempts) AS attempts, (array_agg(last_error ORDER BY transition) FILTER (WHERE last_error IS NOT NULL))[1] AS last_error
FROM outbox WHERE delivered_at IS NULL AND dropped IS NULL
GROUP BY channel ORDER BY channel
