-- The rows of a statement, each packed as bytes, put together, and how many they are. A value has at most 1 GB: what may
-- have more is packed by months, which costs a sort.
SELECT string_agg(v.bytes, ''::bytea), count(*) FROM (<statement>) v
