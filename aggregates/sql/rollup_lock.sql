-- One roll-up at a time; a second waits here and takes over.
SELECT pg_advisory_xact_lock(hashtext('stadspuls rollup'))
