-- The process that serves this session, on the machine where the database is.
SELECT pg_backend_pid()
