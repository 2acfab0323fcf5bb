-- Since when an hour waits for the roll-up: a late reading makes an old hour wait from now on, not since it was closed.
ALTER TABLE mark ADD COLUMN made_at timestamptz NOT NULL DEFAULT now();
