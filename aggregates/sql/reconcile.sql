-- Stored windows compared with their readings, and the repair, as `streams.rollup.reconcile` runs it.

-- name: read_reconciled
-- The time by the clock that writes `computed_at`, and when windows were compared last.
SELECT now(), reconciled FROM rollup

-- name: list_changed_days
-- The UTC days with hours that were written since the last comparison: by the time of the roll-up, not of receipt, for a
-- batch may wait long for its commit.
SELECT DISTINCT (start AT TIME ZONE 'UTC')::date
FROM window_1h WHERE computed_at >= (SELECT reconciled FROM rollup) ORDER BY 1

-- name: read_first_day
-- The first UTC day that has a daily row.
SELECT (min(start) AT TIME ZONE 'UTC')::date FROM window_1d

-- name: count_windows
-- How many windows a range has, by level.
SELECT (SELECT count(*) FROM window_5m WHERE start >= %(first)s AND start < %(last)s),
       (SELECT count(*) FROM window_1h WHERE start >= %(first)s AND start < %(last)s),
       (SELECT count(*) FROM window_1d WHERE start >= %(first)s AND start < %(last)s)

-- name: find_differing_5m
-- 5-minute rows that differ from their readings, those without a row and those without readings included.
SELECT series, start FROM (
    SELECT r.series, date_bin('5 minutes', r.start, 'epoch') AS start, {fold_readings}
    FROM reading r WHERE r.start >= %(first)s AND r.start < %(last)s
    GROUP BY 1, 2
) e FULL JOIN (
    SELECT * FROM window_5m WHERE start >= %(first)s AND start < %(last)s
) h USING (series, start)
WHERE NOT EXISTS (SELECT FROM frozen f WHERE f.day = (start AT TIME ZONE 'UTC')::date)
  AND ({evidence_differs})

-- name: find_differing_1h
-- Closed hours, neither dirty nor frozen, that differ from their 5-minute rows.
SELECT series, start FROM (
    SELECT w.series, date_trunc('hour', w.start, 'UTC') AS start, {sum_windows}, {sum_covered}
    FROM window_5m w
    WHERE w.start >= %(first)s AND w.start < least(%(last)s, (SELECT closed_until FROM rollup))
    GROUP BY 1, 2
) e FULL JOIN (
    SELECT * FROM window_1h
    WHERE start >= %(first)s AND start < least(%(last)s, (SELECT closed_until FROM rollup))
) h USING (series, start)
WHERE NOT EXISTS (SELECT FROM frozen f WHERE f.day = (start AT TIME ZONE 'UTC')::date)
  AND NOT EXISTS (SELECT FROM mark m WHERE m.hour = start AND series = ANY (m.members))
  AND ({evidence_differs})

-- name: find_differing_1d
-- Days that differ from their hours, where no hour of theirs is dirty; those without a row and without hours included.
WITH days AS MATERIALIZED (
    SELECT series, start, coverage, period, ((start AT TIME ZONE zone) + interval '1 day') AT TIME ZONE zone AS "end"
    FROM (
        SELECT w.series, date_trunc('day', w.start, q.zone) AS start, q.coverage, q.zone, s.period
        FROM window_1h w JOIN series s USING (series) JOIN quantity q USING (quantity)
        WHERE w.start >= %(first)s AND w.start < %(last)s
        UNION
        SELECT w.series, w.start, q.coverage, q.zone, s.period
        FROM window_1d w JOIN series s USING (series) JOIN quantity q USING (quantity)
        WHERE w.start >= %(first)s AND w.start < %(last)s
    ) labels
), expected AS (
    {sum_days}
)
SELECT series, start FROM days d LEFT JOIN expected e USING (series, start) LEFT JOIN window_1d h USING (series, start)
WHERE NOT EXISTS (SELECT FROM mark m WHERE m.hour >= start AND m.hour < d."end" AND series = ANY (m.members))
  AND NOT EXISTS (SELECT FROM frozen f WHERE f.day BETWEEN (start AT TIME ZONE 'UTC')::date AND (d."end" AT TIME ZONE 'UTC')::date)
  AND (h.valid_hours IS DISTINCT FROM e.valid_hours OR {evidence_differs})

-- name: evidence_differs
-- Whether the stored evidence of a window h and what it should be, e, differ: counts, minima and maxima exactly, sums to
-- 1e-9 of the sum of absolute values (here: of the root of n times the sum of squares, which is never smaller).
h.readings IS DISTINCT FROM e.readings OR h.nothing IS DISTINCT FROM e.nothing OR h.flagged IS DISTINCT FROM e.flagged
OR h.failed IS DISTINCT FROM e.failed OR h.warned IS DISTINCT FROM e.warned OR h.status IS DISTINCT FROM e.status
OR h.minimum IS DISTINCT FROM e.minimum OR h.maximum IS DISTINCT FROM e.maximum
OR (h.covered IS NULL) <> (e.covered IS NULL) OR abs(h.covered - e.covered) > 1e-9 * greatest(1, e.covered)
OR abs(h.total - e.total) > 1e-9 * greatest(1e-9, sqrt(e.readings * e.squares))
OR abs(h.squares - e.squares) > 1e-9 * greatest(1e-9, e.squares)
OR abs(h.weight - e.weight) > 1e-9 * greatest(1e-9, e.weight)
OR abs(h.weighted - e.weighted) > 1e-9 * greatest(1e-9, e.weight * greatest(abs(e.minimum), abs(e.maximum)))
OR abs(h.harmonic - e.harmonic) > 1e-9 * greatest(1e-9, e.harmonic)

-- name: touch_windows
-- 5-minute rows to be recomputed, as rows that add nothing.
INSERT INTO touched (series, start)
SELECT series, start FROM unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)

-- name: delete_empty_windows, planned each time
-- Of the touched 5-minute rows those that no reading stands behind.
DELETE FROM window_5m w USING touched t
WHERE w.series = t.series AND w.start = t.start AND w.start BETWEEN %(first)s AND %(last)s
  AND w.series = ANY (%(members)s::int[]) AND w.readings + w.nothing + w.flagged + w.failed = 0

-- name: delete_empty_hours
-- Hours around the given windows that no 5-minute row stands behind.
DELETE FROM window_1h h USING unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)
WHERE h.series = n.series AND h.start = date_trunc('hour', n.start, 'UTC')
  AND NOT EXISTS (SELECT FROM window_5m w
                  WHERE w.series = h.series AND w.start >= h.start AND w.start < h.start + interval '1 hour')

-- name: delete_empty_days
-- Days around the given windows that no hour stands behind.
DELETE FROM window_1d t
USING unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)
JOIN series s USING (series) JOIN quantity q USING (quantity)
WHERE t.series = n.series AND t.start = date_trunc('day', n.start, q.zone)
  AND NOT EXISTS (SELECT FROM window_1h w WHERE w.series = t.series AND w.start >= t.start
                  AND w.start < ((t.start AT TIME ZONE q.zone) + interval '1 day') AT TIME ZONE q.zone)

-- name: set_reconciled
-- Windows were compared that were written before.
UPDATE rollup SET reconciled = %(at)s
