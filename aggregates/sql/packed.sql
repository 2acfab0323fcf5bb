-- The rows of a statement, packed. A value has at most 1 GB: what may have more is packed by months, which costs a sort.
SELECT string_agg(record_send(v), ''::bytea) FROM (<statement>) v
