-- What TimescaleDB's policies do, and do not, for `stadspuls doctor`: a line each. Nothing where there are none. Texts, not
-- statements: plain PostgreSQL has none of these views.
CREATE OR REPLACE FUNCTION policy_findings() RETURNS TABLE (what text, found text, good boolean) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF to_regclass('timescaledb_information.job_stats') IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE $q$
        WITH policy AS (
            SELECT job_id, hypertable_name::text AS hypertable, proc_name::text AS proc, s.last_run_status,
                   s.last_run_started_at, s.total_failures, s.total_runs,
                   (j.config ->> 'compress_after')::interval AS after
            FROM timescaledb_information.jobs j LEFT JOIN timescaledb_information.job_stats s USING (job_id, hypertable_name)
            WHERE hypertable_name IS NOT NULL
        ), packs AS (
            SELECT p.hypertable, min(p.after) AS after, count(*) FILTER (WHERE is_compressed) AS packed,
                   count(*) FILTER (WHERE NOT is_compressed AND range_end < now() - p.after - interval '2 days') AS late
            FROM policy p JOIN timescaledb_information.chunks c ON c.hypertable_name::text = p.hypertable
            WHERE p.after IS NOT NULL GROUP BY p.hypertable
        ), packed AS (
            SELECT packs.*, before, after_packing FROM packs CROSS JOIN LATERAL (
                SELECT sum(before_compression_total_bytes) AS before, sum(after_compression_total_bytes) AS after_packing
                FROM chunk_compression_stats(hypertable::regclass)) b
        )
        SELECT format('policy %s of %s', proc, hypertable), format('failed at %s, %s of %s times: see '
               'timescaledb_information.job_errors', to_char(last_run_started_at, 'YYYY-MM-DD HH24:MI TZ'), total_failures,
               total_runs), false
        FROM policy WHERE last_run_status = 'Failed'
        UNION ALL
        SELECT 'packed ' || hypertable, format('%s chunks, %s of %s%s%s', packed, pg_size_pretty(after_packing),
               pg_size_pretty(before), CASE WHEN late > 0 THEN format(
               ', and %s older than %s days that are not', late, extract(day FROM after)) ELSE '' END,
               CASE WHEN after_packing > before THEN
               ': sparse chunks grow when they are packed, set chunk_interval longer' ELSE '' END),
               late = 0 AND after_packing <= before IS NOT false
        FROM packed
        ORDER BY 1
    $q$;
END $$;
