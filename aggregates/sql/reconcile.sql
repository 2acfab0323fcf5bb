-- Stored windows compared with their readings, and the repair, as `streams.rollup.reconcile` runs it.

-- name: read_reconciled
-- The time by the clock that writes `computed_at`, and when windows were compared last.
SELECT now(), reconciled FROM rollup

-- name: list_changed_days
-- The series and UTC days of hours that were written since the last comparison, and of the civil days that they are in: by
-- the time of the roll-up, not of receipt, for a batch may wait long for its commit.
SELECT (n.start AT TIME ZONE 'UTC')::date AS day, array_agg(DISTINCT series)
FROM window_1h w JOIN series s USING (series) JOIN quantity q USING (quantity)
CROSS JOIN LATERAL (VALUES (w.start), (date_trunc('day', w.start, q.zone))) n (start)
WHERE w.computed_at >= (SELECT reconciled FROM rollup) GROUP BY day ORDER BY day

-- name: read_first_day
-- The first UTC day that has a daily row, by one look at the index for each series.
SELECT (min(d.start) AT TIME ZONE 'UTC')::date
FROM series s CROSS JOIN LATERAL (SELECT start FROM window_1d WHERE series = s.series ORDER BY start LIMIT 1) d

-- name: among
-- Whether a row is of the series asked for; null: of all.
(%(members)s::int[] IS NULL OR series = ANY (%(members)s::int[]))

-- name: heads_among
-- Whether a row is of a sensor of which one of the series asked for is a part; null: of all.
(%(members)s::int[] IS NULL OR head = ANY (ARRAY(
    SELECT head FROM series WHERE series = ANY (%(members)s::int[])
    UNION SELECT head FROM group_part WHERE series = ANY (%(members)s::int[]))))

-- name: not_frozen
-- Whether a window that begins at `start` has its readings still: its UTC day is not frozen.
NOT EXISTS (SELECT FROM frozen f WHERE f.day = (start AT TIME ZONE 'UTC')::date)

-- name: count_windows, planned each time
-- How many windows a range has, by level.
SELECT (SELECT count(*) FROM window_5m WHERE start >= %(first)s AND start < %(last)s AND {among}),
       (SELECT count(*) FROM window_1h WHERE start >= %(first)s AND start < %(last)s AND {among}),
       (SELECT count(*) FROM ({stored_days}) d),
       (SELECT count(*) FROM sensor_evidence_1h WHERE start >= %(first)s AND start < %(last)s AND {heads_among}),
       (SELECT count(*) FROM sensor_evidence_1d WHERE start >= %(first)s AND start < %(last)s AND {heads_among})

-- name: stored_days
-- The daily rows of a range, by a look at the index for each series: nothing else finds them by their start.
SELECT h.* FROM series JOIN window_1d h USING (series) WHERE h.start >= %(first)s AND h.start < %(last)s AND {among}

-- name: find_differing_5m, planned each time
-- 5-minute rows that differ from their readings, those without a row and those without readings included.
SELECT series, start FROM (
    SELECT r.series, date_bin('5 minutes', r.start, 'epoch') AS start, {fold_readings}
    FROM reading r WHERE r.start >= %(first)s AND r.start < %(last)s AND {among}
    GROUP BY 1, 2
) e FULL JOIN (
    SELECT * FROM window_5m WHERE start >= %(first)s AND start < %(last)s AND {among}
) h USING (series, start)
WHERE {not_frozen}
  AND ({evidence_differs})

-- name: find_differing_1h, planned each time
-- Closed hours, neither dirty nor frozen, that differ from their 5-minute rows.
SELECT series, start FROM (
    SELECT w.series, date_trunc('hour', w.start, 'UTC') AS start, {sum_windows}, {sum_covered}
    FROM window_5m w
    WHERE w.start >= %(first)s AND w.start < %(last)s AND w.start < (SELECT closed_until FROM rollup) AND {among}
    GROUP BY 1, 2
) e FULL JOIN (
    SELECT * FROM window_1h
    WHERE start >= %(first)s AND start < %(last)s AND start < (SELECT closed_until FROM rollup) AND {among}
) h USING (series, start)
WHERE {not_frozen}
  AND NOT EXISTS (SELECT FROM mark m WHERE m.hour = start AND series = ANY (m.members))
  AND ({evidence_differs})

-- name: find_differing_1d, planned each time
-- Civil days that begin in a range and differ from their hours, where no hour of theirs is dirty; those without a row and
-- without hours included.
WITH label AS MATERIALIZED (
    SELECT DISTINCT zone, start, day_end(start, zone) AS "end"
    FROM quantity CROSS JOIN generate_series(%(first)s, %(last)s, interval '6 hours') g
    CROSS JOIN LATERAL date_trunc('day', g, zone) start
    WHERE start >= %(first)s AND start < %(last)s
), days AS MATERIALIZED (
    SELECT series, l.start, l."end", q.coverage, s.period
    FROM label l JOIN quantity q USING (zone) JOIN series s USING (quantity) WHERE {among}
), expected AS (
    {sum_days}
)
SELECT series, start FROM days d LEFT JOIN expected e USING (series, start) FULL JOIN ({stored_days}) h USING (series, start)
WHERE NOT EXISTS (SELECT FROM mark m WHERE m.hour >= start AND m.hour < d."end" AND series = ANY (m.members))
  AND NOT EXISTS (SELECT FROM frozen f WHERE f.day BETWEEN (start AT TIME ZONE 'UTC')::date AND (d."end" AT TIME ZONE 'UTC')::date)
  AND (h.valid_hours IS DISTINCT FROM e.valid_hours OR {evidence_differs})

-- name: find_differing_sensor_1h, planned each time
-- Stored evidence of sensors at 1h that differs from what their series make together, missing and needless rows included.
WITH figures AS (
    SELECT * FROM ({rolled_hours}) a WHERE stored AND NOT alone AND start >= %(first)s AND start < %(last)s AND {heads_among}
    UNION ALL
    SELECT * FROM ({rolled_group_hours}) a WHERE stored AND start >= %(first)s AND start < %(last)s AND {heads_among}
), {combine_channels}
SELECT head, start FROM sensors e FULL JOIN (
    SELECT * FROM sensor_evidence_1h WHERE start >= %(first)s AND start < %(last)s AND {heads_among}
    AND head IN (SELECT series FROM series WHERE stored AND NOT alone)
) h USING (head, start)
WHERE {sensor_evidence_differs}

-- name: find_differing_sensor_1d, planned each time
-- Stored evidence of sensors at 1d that differs from what their series make together, missing and needless rows included.
WITH figures AS (
    SELECT * FROM ({rolled_days}) a WHERE stored AND NOT alone AND start >= %(first)s AND start < %(last)s AND {heads_among}
    UNION ALL
    SELECT * FROM ({rolled_group_days}) a WHERE stored AND start >= %(first)s AND start < %(last)s AND {heads_among}
), {combine_channels}
SELECT head, start FROM sensors e FULL JOIN (
    SELECT * FROM sensor_evidence_1d WHERE start >= %(first)s AND start < %(last)s AND {heads_among}
    AND head IN (SELECT series FROM series WHERE stored AND NOT alone)
) h USING (head, start)
WHERE {sensor_evidence_differs}

-- name: sensor_evidence_differs
-- Whether the stored evidence of a sensor's window h and what it should be, e, differ: sums to 1e-9 of themselves, or of 1.
(h.readings, h.nothing, h.flagged, h.failed, h.warned, h.status, h.revision, h.minimum, h.maximum, h.lanes, h.valid_lanes, h.whole)
IS DISTINCT FROM
(e.readings, e.nothing, e.flagged, e.failed, e.warned, e.status, e.revision, e.minimum, e.maximum, e.lanes, e.valid_lanes, e.whole)
OR EXISTS (
    SELECT FROM (VALUES (h.value, e.value), (h.estimate, e.estimate), (h.timed, e.timed), (h.time, e.time),
                        (h.weighted, e.weighted), (h.weight, e.weight), (h.harmonic, e.harmonic), (h.average, e.average),
                        (h.covered_lanes, e.covered_lanes)) v (stored, made)
    WHERE (stored IS NULL) <> (made IS NULL) OR abs(stored - made) > 1e-9 * greatest(1, abs(made)))

-- name: evidence_differs
-- Whether the stored evidence of a window h and what it should be, e, differ: counts, minima and maxima exactly, sums to
-- 1e-9 of the sum of absolute values (here: of the root of n times the sum of squares, which is never smaller).
(h.readings, h.nothing, h.flagged, h.failed, h.warned, h.status, h.minimum, h.maximum)
IS DISTINCT FROM (e.readings, e.nothing, e.flagged, e.failed, e.warned, e.status, e.minimum, e.maximum)
OR (h.covered IS NULL) <> (e.covered IS NULL) OR abs(h.covered - e.covered) > 1e-9 * greatest(1, e.covered)
OR abs(h.total - e.total) > 1e-9 * greatest(1e-9, sqrt(e.readings * e.squares))
OR abs(h.squares - e.squares) > 1e-9 * greatest(1e-9, e.squares)
OR abs(h.weight - e.weight) > 1e-9 * greatest(1e-9, e.weight)
OR abs(h.weighted - e.weighted) > 1e-9 * greatest(1e-9, e.weight * greatest(abs(e.minimum), abs(e.maximum)))
OR abs(h.harmonic - e.harmonic) > 1e-9 * greatest(1e-9, e.harmonic)

-- name: touch_windows
-- 5-minute rows to be recomputed, as rows that add nothing; those of frozen days have nothing to be recomputed from.
INSERT INTO touched (series, start)
SELECT series, start FROM unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)
WHERE {not_frozen}

-- name: delete_empty_windows, planned each time
-- Of the touched 5-minute rows those that no reading stands behind.
DELETE FROM window_5m w USING touched t
WHERE w.series = t.series AND w.start = t.start AND w.start BETWEEN %(first)s AND %(last)s
  AND w.series = ANY (%(members)s::int[]) AND w.readings + w.nothing + w.flagged + w.failed = 0

-- name: delete_empty_hours, planned each time
-- Hours around the given windows that no 5-minute row stands behind. Of packed hours it unpacks those that constants leave.
DELETE FROM window_1h h USING unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)
WHERE h.series = n.series AND h.start = date_trunc('hour', n.start, 'UTC') AND h.series = ANY (%(members)s::int[])
  AND h.start > %(first)s::timestamptz - interval '1 hour' AND h.start <= %(last)s
  AND NOT EXISTS (SELECT FROM window_5m w
                  WHERE w.series = h.series AND w.start >= h.start AND w.start < h.start + interval '1 hour')

-- name: delete_empty_days
-- Days around the given windows that no hour stands behind.
DELETE FROM window_1d t
USING unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)
JOIN series s USING (series) JOIN quantity q USING (quantity)
WHERE t.series = n.series AND t.start = date_trunc('day', n.start, q.zone)
  AND NOT EXISTS (SELECT FROM window_1h w WHERE w.series = t.series AND w.start >= t.start
                  AND w.start < day_end(t.start, q.zone))

-- name: note_repairs
-- The hours and days around the given windows: that they change next is for their repair.
INSERT INTO repair (level, series, start)
SELECT w.level, n.series, date_trunc(w.unit, n.start, w.zone)
FROM unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)
JOIN series s USING (series) JOIN quantity q USING (quantity)
CROSS JOIN LATERAL (VALUES ('window_1h', 'hour', 'UTC'), ('window_1d', 'day', q.zone)) w (level, unit, zone)
ON CONFLICT DO NOTHING

-- name: mark_windows
-- The hours of the given windows are to be rolled up.
INSERT INTO mark (hour, members)
SELECT date_bin('1 hour', start, 'epoch') AS hour, array_agg(DISTINCT series)
FROM unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start) GROUP BY hour ORDER BY hour

-- name: set_reconciled
-- Windows were compared that were written before.
UPDATE rollup SET reconciled = %(at)s
