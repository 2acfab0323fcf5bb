-- Take the log position's row lock for the rest of the transaction; without a position of its own the log counts batches.
INSERT INTO log_position AS p (topic, partition, position)
VALUES (%(topic)s, %(partition)s, coalesce(%(position)s, 1))
ON CONFLICT (topic, partition) DO UPDATE
SET position = greatest(p.position, coalesce(%(position)s, p.position + 1))
