-- Lock the stored twins of the staged readings, in order.
SELECT count(*) FROM (
    SELECT r.series FROM stage s JOIN reading r ON r.series = s.series AND r.start = s.start
    WHERE r.start BETWEEN %(first)s AND %(last)s
    ORDER BY r.series, r.start
    FOR UPDATE OF r
) locked
