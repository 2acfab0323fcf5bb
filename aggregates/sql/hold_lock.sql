-- Tell whether this session has the advisory lock of a name, taking it where it is free; it ends with the session.
SELECT CASE
    WHEN EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (classid::bigint << 32 | objid::bigint) = (hashtext(%(name)s)::bigint)
    ) THEN true
    ELSE pg_try_advisory_lock(hashtext(%(name)s))
END
