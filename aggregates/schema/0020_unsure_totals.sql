-- Of two running totals at one moment nothing says which is right: the counts up to it and from it are in conflict.
ALTER TABLE running_total ADD COLUMN unsure boolean NOT NULL DEFAULT false;
