-- The roll-up looks every second for marks of closed hours, and must not read those of the running one, nor doctor and
-- metrics. Made without keeping batches from writing; what a kill left of it is made anew.
DROP INDEX CONCURRENTLY IF EXISTS mark_hour;
CREATE INDEX CONCURRENTLY mark_hour ON mark (hour);
