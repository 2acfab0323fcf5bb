-- One at a time changes alerts; what was committed before the lock was given is seen by the next statement.
SELECT pg_advisory_xact_lock(hashtext('stadspuls alerts'))
