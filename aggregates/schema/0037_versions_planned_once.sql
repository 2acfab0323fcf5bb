-- The statements by which an earlier version is kept are planned once in a session, not for each window that changes; by
-- indexes, for a plan that was made while there were hardly any versions would read all of them later.
DO $$
DECLARE
    made text := pg_get_functiondef('keep_version'::regproc);
    counts text; merges text; inserts text; rows text;
BEGIN
    SELECT string_agg(format('was_%1$s %1$s; ', name), ''),
           string_agg(format('WHEN %1$L THEN SELECT count(*) INTO today FROM %2$I v WHERE %3$s AND v.until > %4$s; ',
                             name, version, chosen, 'now() - interval ''1 day'''), ''),
           string_agg(format('WHEN %1$L THEN UPDATE %2$I v SET until = now() WHERE %3$s AND v.until = was.since; ',
                             name, version, chosen), ''),
           string_agg(format('WHEN %1$L THEN was_%1$s := was; INSERT INTO %2$I %4$s SELECT (was_%1$s).*, now(), reason; ',
                             name, version, chosen, columns), '')
    INTO rows, counts, merges, inserts
    FROM (
        SELECT name, name || '_version' AS version,
               (SELECT string_agg(format('v.%1$I = was.%1$I', key), ' AND ') FROM unnest(keys) key) AS chosen,
               '(' || (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                       WHERE attrelid = name::regclass AND attnum > 0 AND NOT attisdropped) || ', until, reason)' AS columns
        FROM (VALUES ('window_1h', ARRAY['series', 'start']), ('window_1d', ARRAY['series', 'start']),
                     ('area_1h', ARRAY['vintage', 'code', 'quantity', 'start']),
                     ('area_1d', ARRAY['vintage', 'code', 'quantity', 'start'])) t (name, keys)
    ) t;
    made := replace(made, 'DECLARE', 'DECLARE ' || rows);
    made := regexp_replace(made, 'SELECT string_agg\(format\(.*?TG_ARGV\) name;', '');
    made := regexp_replace(made, 'EXECUTE format\(''SELECT count.*?USING was;', format('CASE changed %s END CASE;', counts));
    made := regexp_replace(made, 'EXECUTE format\(''UPDATE.*?USING was, was.since;', format('CASE changed %s END CASE;', merges));
    made := regexp_replace(made, 'EXECUTE format\(''INSERT.*?USING was, reason;', format('CASE changed %s END CASE;', inserts));
    ASSERT made NOT LIKE '%EXECUTE format%';
    EXECUTE made;
END $$;
ALTER FUNCTION keep_version() SET enable_seqscan = off SET enable_bitmapscan = off;
