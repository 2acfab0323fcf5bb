-- Tell whether this session is the one that keeps the hub up, taking the lock where it is free; it ends with the session.
SELECT CASE
    WHEN EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND database = (
            SELECT oid FROM pg_database WHERE datname = current_database()
        ) AND (classid::bigint << 32 | objid::bigint) = hashtext('stadspuls upkeep')::bigint & x'7fffffffffffffff'::bigint
    ) THEN true
    ELSE pg_try_advisory_lock(hashtext('stadspuls upkeep'))
END
