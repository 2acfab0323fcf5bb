-- Held while a batch is on its way, so that no day freezes meanwhile. In a statement before the one that reads `frozen`:
-- a statement sees what was committed before it began to wait.
SELECT pg_advisory_xact_lock_shared(hashtext('stadspuls freeze'))
