-- How many hours of a frozen day were deleted already: a day is frozen first, and its readings go hour by hour.
ALTER TABLE frozen ADD COLUMN deleted_hours smallint NOT NULL DEFAULT 24;
ALTER TABLE frozen ALTER COLUMN deleted_hours SET DEFAULT 0;
