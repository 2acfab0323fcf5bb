-- The rows of a statement, packed; by months, for a value has at most 1 GB.
SELECT string_agg(record_send(v), ''::bytea) FROM (<statement>) v GROUP BY date_bin('28 days', v.start, 'epoch')
