-- What TimescaleDB's policies do, and do not, for `stadspuls doctor`: a line each. Nothing where there are none. Texts, not
-- statements: plain PostgreSQL has none of these views.
CREATE OR REPLACE FUNCTION policy_findings() RETURNS TABLE (what text, found text, good boolean) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF to_regclass('timescaledb_information.job_stats') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE $q$
        WITH policy AS (
            SELECT proc_name::text || coalesce(' of ' || j.hypertable_name, '') AS name, config, s.last_run_status,
                   s.last_run_started_at, s.total_failures, s.total_runs
            FROM timescaledb_information.jobs j LEFT JOIN timescaledb_information.job_stats s USING (job_id)
            WHERE j.hypertable_name IS NOT NULL OR proc_name = 'pack_chunks'
        ), packs AS (
            SELECT hypertable, after::interval, is_compressed AS packed,
                   NOT is_compressed AND range_end < now() - after::interval - interval '2 days' AS due,
                   obj_description(to_regclass(format('%I.%I', chunk_schema, chunk_name)), 'pg_class') LIKE 'too sparse%' AS sparse
            FROM policy CROSS JOIN jsonb_each_text(config -> 'after') e (hypertable, after)
            JOIN timescaledb_information.chunks c ON c.hypertable_name::text = hypertable
            WHERE policy.name = 'pack_chunks'
        ), counted AS (
            SELECT hypertable, after, count(*) FILTER (WHERE packed) AS packed,
                   count(*) FILTER (WHERE NOT packed AND sparse) AS sparse,
                   count(*) FILTER (WHERE due AND sparse IS NOT true) AS late
            FROM packs GROUP BY hypertable, after
        ), packed AS (
            SELECT counted.*, before, after_packing FROM counted CROSS JOIN LATERAL (
                SELECT coalesce(sum(before_compression_total_bytes), 0) AS before,
                       coalesce(sum(after_compression_total_bytes), 0) AS after_packing
                FROM chunk_compression_stats(hypertable::regclass)) b
        )
        SELECT 'policy ' || name, format('failed at %s, %s of %s times: see '
               'timescaledb_information.job_errors', to_char(last_run_started_at, 'YYYY-MM-DD HH24:MI TZ'), total_failures,
               total_runs), false
        FROM policy WHERE last_run_status = 'Failed'
        UNION ALL
        SELECT 'packed ' || hypertable, format('%s chunks, %s of %s%s%s', packed, pg_size_pretty(after_packing),
               pg_size_pretty(before), CASE WHEN sparse > 0 THEN format(
               ', and %s left that would grow: few rows of a series in each, see chunk_interval', sparse) ELSE '' END,
               CASE WHEN late > 0 THEN format(
               ', and %s older than %s days that are not', late, extract(day FROM after)) ELSE '' END), late = 0
        FROM packed
        ORDER BY 1
    $q$;
END $$;
