-- The readings of some series as numbers alone, NaN for null.
SELECT series, start, coalesce(value, 'NaN') AS value, weight, coalesce(covers, 'NaN') AS covers, flags, status, version,
       received_at
FROM reading
WHERE series = ANY (%(series)s::integer[]) AND start >= %(first)s AND start < %(last)s
