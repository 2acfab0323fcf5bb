-- Tell whether this session keeps the hub up, taking the lock where it is free; the lock ends with the session.
SELECT CASE
    WHEN EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (classid::bigint << 32 | objid::bigint) = hashtext('stadspuls upkeep')::bigint
    ) THEN true
    ELSE pg_try_advisory_lock(hashtext('stadspuls upkeep'))
END
