SELECT source, sum(received)::bigint, sum(stored)::bigint, sum(duplicate)::bigint, sum(corrected)::bigint, sum(rejected)::bigint
FROM accounting WHERE %(since)s::date IS NULL OR day >= %(since)s GROUP BY source ORDER BY source
