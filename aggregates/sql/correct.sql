-- A staged reading replaces its stored twin when its (status, version, value, weight, flags, covers) is greater, null
-- lowest, so that the order of arrival does not matter. Of two values with one status and version nothing says which is
-- right: the greater stays, marked ambiguous (64). 39 are the flags that a supplier can give.
WITH pair AS (
    SELECT r.series, r.start, s.value, s.weight, s.covers, s.version, s.received_at, s.status, s.flags, r.flags AS known,
           (s.status, s.version, coalesce(s.value, '-Infinity'), s.weight, s.flags & 39, coalesce(s.covers, -1))
         > (r.status, r.version, coalesce(r.value, '-Infinity'), r.weight, r.flags & 39, coalesce(r.covers, -1)) AS wins,
           (s.status, s.version) = (r.status, r.version) AS peers,
           coalesce((s.value, s.weight) <> (r.value, r.weight) AND s.value IS NOT NULL AND r.value IS NOT NULL, false)
               AS differ,
           (s.status, s.value, s.weight, s.flags & 39, s.covers) IS NOT DISTINCT FROM
           (r.status, r.value, r.weight, r.flags & 39, r.covers) AS same_figure
    FROM stage s JOIN reading r ON r.series = s.series AND r.start = s.start
    WHERE r.start BETWEEN %(first)s AND %(last)s
), verdict AS (
    SELECT *, CASE WHEN peers THEN CASE WHEN differ THEN 64 ELSE (flags | known) & 64 END
                   WHEN wins THEN flags & 64 ELSE known & 64 END AS ambiguous
    FROM pair
), better AS (
    UPDATE reading r SET
        value       = CASE WHEN v.wins THEN v.value ELSE r.value END,
        weight      = CASE WHEN v.wins THEN v.weight ELSE r.weight END,
        covers      = CASE WHEN v.wins THEN v.covers ELSE r.covers END,
        version     = CASE WHEN v.wins THEN v.version ELSE r.version END,
        received_at = greatest(r.received_at, v.received_at),
        status      = CASE WHEN v.wins THEN v.status ELSE r.status END,
        flags       = v.ambiguous | CASE WHEN v.wins AND NOT v.same_figure THEN v.flags & 39 ELSE v.known & ~64 END
    FROM verdict v
    WHERE r.series = v.series AND r.start = v.start AND r.start BETWEEN %(first)s AND %(last)s
      AND (%(members)s::int[] IS NULL OR r.series = ANY (%(members)s::int[]))
      AND (v.wins OR v.ambiguous <> v.known & 64)
    RETURNING v.series, v.start, v.same_figure AND v.ambiguous = v.known & 64 AS only_version
)
INSERT INTO judged (series, start, outcome) SELECT series, start, CASE WHEN only_version THEN 2 ELSE 1 END FROM better
