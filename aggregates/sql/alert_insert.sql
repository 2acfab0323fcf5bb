INSERT INTO alert (rule, subject, quantity, level, severity, state, since, until, judged, sure, calm, told, value, worst,
                   threshold, coverage, late, raised_at, updated_at, cleared_at)
SELECT n.rule, n.subject, n.quantity, n.level, n.severity, n.state, n.since, n.until, n.judged, n.sure, n.calm, n.told,
       n.value, n.worst, n.threshold, n.coverage, n.late, %(now)s, %(now)s, CASE WHEN n.until IS NOT NULL THEN %(now)s END
FROM unnest(%(rule)s::text[], %(subject)s::text[], %(quantity)s::text[], %(level)s::text[], %(severity)s::text[],
            %(state)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[], %(judged)s::timestamptz[],
            %(sure)s::timestamptz[], %(calm)s::int[], %(told)s::float8[], %(value)s::float8[], %(worst)s::float8[],
            %(threshold)s::float8[], %(coverage)s::float8[], %(late)s::boolean[])
    AS n (rule, subject, quantity, level, severity, state, since, until, judged, sure, calm, told, value, worst, threshold,
          coverage, late)
RETURNING alert, rule, subject, since
