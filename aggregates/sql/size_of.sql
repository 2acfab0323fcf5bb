-- Bytes on disk of a table with its indexes, and of its chunks where it has some.
SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
WHERE c.oid = %(table)s::regclass OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(table)s::regclass)
