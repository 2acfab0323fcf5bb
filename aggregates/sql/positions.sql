-- How far each partition of the log is in the store: the offset of the next record to read.
SELECT topic, partition, position FROM log_position
