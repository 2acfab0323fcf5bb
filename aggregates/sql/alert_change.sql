UPDATE alert a SET state = n.state, since = n.since, until = n.until, judged = n.judged, sure = n.sure, calm = n.calm,
    told = n.told, value = n.value, worst = n.worst, threshold = n.threshold, coverage = n.coverage, late = n.late,
    withdrawn = n.withdrawn, updated_at = CASE WHEN n.said THEN %(now)s ELSE a.updated_at END,
    raised_at = CASE WHEN a.late AND NOT n.late THEN %(now)s ELSE a.raised_at END,
    cleared_at = CASE WHEN n.until IS NOT NULL THEN coalesce(a.cleared_at, %(now)s) END
FROM unnest(%(alert)s::bigint[], %(state)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[],
            %(judged)s::timestamptz[], %(sure)s::timestamptz[], %(calm)s::int[], %(told)s::float8[], %(value)s::float8[],
            %(worst)s::float8[], %(threshold)s::float8[], %(coverage)s::float8[], %(late)s::boolean[],
            %(withdrawn)s::boolean[], %(said)s::boolean[])
    AS n (alert, state, since, until, judged, sure, calm, told, value, worst, threshold, coverage, late, withdrawn, said)
WHERE a.alert = n.alert
