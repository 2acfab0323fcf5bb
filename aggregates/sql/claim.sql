-- Take the log position's row lock for the rest of the transaction; without a position of its own the log counts batches.
-- With it the shared side of the lock that `maintain` takes alone: no day freezes while a batch is on its way.
INSERT INTO log_position AS p (topic, partition, position)
SELECT %(topic)s, %(partition)s, coalesce(%(position)s, 1)
FROM pg_advisory_xact_lock_shared(hashtext('stadspuls freeze'))
ON CONFLICT (topic, partition) DO UPDATE
SET position = greatest(p.position, coalesce(%(position)s, p.position + 1))
