-- What became of the readings received, by source and day: received = stored + duplicate + corrected + rejected.

-- name: add_to_accounting
-- Mark the hours that a batch touched, and add its counts.
WITH marked AS ({insert_marks})
INSERT INTO accounting AS a (source, day, received, stored, duplicate, corrected, rejected, ambiguous)
SELECT source, day, received, stored, duplicate, corrected, rejected, ambiguous
FROM unnest(%(source)s::text[], %(day)s::date[], %(received)s::bigint[], %(stored)s::bigint[], %(duplicate)s::bigint[],
            %(corrected)s::bigint[], %(rejected)s::bigint[], %(ambiguous)s::bigint[])
     AS n (source, day, received, stored, duplicate, corrected, rejected, ambiguous)
ORDER BY source, day
ON CONFLICT (source, day) DO UPDATE SET
    received  = a.received + excluded.received,
    stored    = a.stored + excluded.stored,
    duplicate = a.duplicate + excluded.duplicate,
    corrected = a.corrected + excluded.corrected,
    rejected  = a.rejected + excluded.rejected,
    ambiguous = a.ambiguous + excluded.ambiguous

-- name: sum_accounting
-- The sums by source, of the days since one or of all.
SELECT source, sum(received)::bigint, sum(stored)::bigint, sum(duplicate)::bigint, sum(corrected)::bigint, sum(rejected)::bigint
FROM accounting WHERE %(since)s::date IS NULL OR day >= %(since)s GROUP BY source ORDER BY source
