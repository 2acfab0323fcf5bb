-- What the benches and chaos runs of `lab/` ask.

-- name: read_backend
-- The process that serves this session, on the machine where the database is.
SELECT pg_backend_pid()

-- name: read_table_size
-- Bytes on disk of a table with its indexes, and of its chunks where it has some.
SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
WHERE c.oid = %(table)s::regclass OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = %(table)s::regclass)

-- name: count_vacuums
-- How many tables are being vacuumed.
SELECT count(*) FROM pg_stat_progress_vacuum WHERE datname = current_database()

-- name: list_source_readings
-- The readings of one source as they are stored, to prove that none is missing.
SELECT sensor_id, (extract(epoch FROM start) * 1000000)::bigint AS start, value
FROM reading JOIN series USING (series) JOIN sensor USING (sensor_id) WHERE source = %(source)s

-- name: count_marks
-- How many marks that were made by a moment wait for the roll-up, of hours from `first` to `last`.
SELECT count(*) FROM mark WHERE hour BETWEEN %(first)s AND %(last)s AND made_at <= %(made_by)s

-- name: read_clock
-- The time of the database.
SELECT clock_timestamp()
