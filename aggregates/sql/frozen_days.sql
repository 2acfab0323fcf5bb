-- Under the shared lock that `maintain` takes alone, so that no day freezes while a batch is on its way.
SELECT f.day FROM pg_advisory_xact_lock_shared(hashtext('stadspuls freeze')), frozen f
