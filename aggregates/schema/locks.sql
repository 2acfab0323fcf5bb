-- Lock the stored twins of the staged readings that are not judged yet. Gives null, or the series that change where the days
-- between are packed, for the statements that change them: these unpack every series that they do not leave out by constants.
--
-- TimescaleDB's community edition locks no row that is packed ("locking compressed tuples is not supported"), and an
-- INSERT that does nothing on conflict leaves it packed. What it unpacks is what an UPDATE changes, so there each twin is
-- written as it is, which locks it, too. Texts, not statements: a plan is made for what is packed now.
CREATE OR REPLACE FUNCTION lock_known(first timestamptz, last timestamptz) RETURNS integer[] LANGUAGE plpgsql AS $$
DECLARE
    packed  boolean;
    members integer[];
BEGIN
    IF current_setting('timescaledb.license', true) = 'timescale' THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM timescaledb_information.chunks WHERE is_compressed'
                ' AND hypertable_name IN (''reading'', ''window_5m'') AND range_end > $1 AND range_start <= $2)'
        INTO packed USING first, last;
    END IF;
    IF packed THEN
        EXECUTE 'SELECT coalesce(array_agg(DISTINCT series), ''{}'') FROM stage s WHERE NOT EXISTS'
                ' (SELECT FROM judged j WHERE j.series = s.series AND j.start = s.start AND outcome = 2)' INTO members;
        EXECUTE format('UPDATE reading r SET version = r.version FROM stage s'
                       ' WHERE r.series = s.series AND r.start = s.start AND r.start BETWEEN %L AND %L'
                       ' AND r.series = ANY (%L::integer[])'
                       ' AND NOT EXISTS (SELECT FROM judged j WHERE j.series = s.series AND j.start = s.start)',
                       first, last, members);
    ELSE
        EXECUTE 'SELECT FROM stage s JOIN reading r ON r.series = s.series AND r.start = s.start'
                ' WHERE r.start BETWEEN $1 AND $2'
                ' AND NOT EXISTS (SELECT FROM judged j WHERE j.series = s.series AND j.start = s.start)'
                ' ORDER BY r.series, r.start FOR UPDATE OF r'
        USING first, last;
    END IF;
    RETURN members;
END $$;
