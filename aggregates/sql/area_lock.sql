-- One load, assignment or join of areas at a time.
SELECT pg_advisory_xact_lock(hashtext('stadspuls areas'))
