-- Marked hours become rows of window_1h and window_1d, as `streams.rollup.rollup` runs it.

-- name: lock_roll_up
-- One roll-up at a time; a second waits here and takes over.
SELECT pg_advisory_xact_lock(hashtext('stadspuls rollup'))

-- name: take_marks
-- The marks of the oldest closed hours, about `most` of them but never part of an hour's: delete what this statement sees,
-- then (in a later one) read the 5-minute rows.
WITH taken AS (
    DELETE FROM mark WHERE hour <= (
        SELECT max(hour) FROM (
            SELECT hour, sum(sum(cardinality(members))) OVER (ORDER BY hour) - sum(cardinality(members)) AS before
            FROM mark WHERE hour < %(until)s GROUP BY hour
        ) m WHERE before < %(most)s
    ) RETURNING hour, members
)
INSERT INTO dirty (series, start)
SELECT DISTINCT unnest(members), hour FROM taken

-- name: read_dirty_span
-- How many hours there are to do, the first and the last.
SELECT count(*), min(start), max(start) FROM dirty

-- name: analyze_dirty
-- A temporary table has no statistics before.
ANALYZE dirty

-- name: list_neighbour_readings
-- Readings with a value around the dirty hours of series that have neighbour rules: `judged` are those near enough to a
-- dirty hour for a verdict, the others are only compared with.
WITH span AS (
    SELECT series, sensor_id, quantity, unnest(range_agg(tstzrange(d.start - 2 * reach,
        d.start + interval '1 hour' + 2 * reach))) AS span, reach
    FROM dirty d JOIN series s USING (series) JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
    CROSS JOIN LATERAL (SELECT {rule_reach} AS reach) m
    WHERE reach > interval '0' GROUP BY series, sensor_id, quantity, reach
)
SELECT p.series, (extract(epoch FROM r.start) * 1000000)::bigint, r.value, r.flags, r.status, p.quantity, p.sensor_id,
       n.overrides -> p.quantity, r.start >= lower(p.span) + p.reach AND r.start < upper(p.span) - p.reach
FROM span p JOIN reading r ON r.series = p.series AND r.start >= lower(p.span) AND r.start < upper(p.span)
JOIN sensor n USING (sensor_id)
WHERE r.value IS NOT NULL AND r.flags & 7 = 0 AND r.start >= %(first)s AND r.start < %(last)s
ORDER BY p.series, p.span, r.start

-- name: rule_reach
-- How far the neighbour rules of a quantity q reach at a sensor n; the catalogue may give it rules of its own.
greatest(q.memory, 1.5 * (n.overrides -> q.quantity ->> 'stuck')::float8,
         CASE WHEN n.overrides -> q.quantity ? 'spike' THEN 21600 END) * interval '1 second'

-- name: read_rule_reach
-- How far from the dirty hours the readings are that their rules look at: neighbours have neighbours.
SELECT coalesce(2 * max({rule_reach}), interval '0')
FROM (SELECT DISTINCT series FROM dirty) d JOIN series s USING (series) JOIN quantity q USING (quantity)
JOIN sensor n USING (sensor_id)

-- name: list_count_hours, planned each time
-- The hours, of series of counts, that say whether dirty ones are dead, in order: is it zero, does it have the flags of dead
-- readings, does it have readings without a flag. Candidates are hours among eight of zeros in a row which counted something
-- in one of the six weeks before, and neighbours of hours with flags: so counters that live, and nights, cost little. The
-- six weeks before the last day that counted, within half a year, are the profile.
WITH candidate AS (
    SELECT d.series, min(d.start) AS first, max(d.start) AS last
    FROM dirty d JOIN series s USING (series) CROSS JOIN LATERAL (
        SELECT bool_or(p.start = d.start AND coalesce(p.maximum, 0) = 0) AS zero,
               bool_or(p.start BETWEEN d.start - interval '1 hour' AND d.start + interval '1 hour'
                       AND coalesce(p.maximum, 0) = 0 AND p.flagged + p.warned > 0) AS flagged,
               coalesce(min(p.start) FILTER (WHERE p.start > d.start AND p.maximum > 0), max(p.start) + interval '1 hour')
               - coalesce(max(p.start) FILTER (WHERE p.start < d.start AND p.maximum > 0) + interval '1 hour',
                          d.start - interval '7 hours') AS zeros
        FROM window_1h p
        WHERE p.series = d.series AND p.start > d.start - interval '8 hours' AND p.start < d.start + interval '8 hours'
          AND p.start > %(first)s - interval '8 hours' AND p.start < %(last)s + interval '8 hours'
    ) near
    WHERE s.quantity = ANY(%(quantities)s) AND (flagged OR zero AND zeros >= interval '8 hours' AND EXISTS (
        SELECT FROM generate_series(1, 6) AS w (weeks)
        JOIN window_1h p ON p.series = d.series AND p.start = d.start - w.weeks * interval '7 days' WHERE p.maximum > 0))
    GROUP BY d.series
)
SELECT c.series, s.sensor_id, s.quantity, n.overrides -> s.quantity, (extract(epoch FROM w.start) * 1000000)::bigint,
       coalesce(w.maximum, 0) = 0, coalesce(f.dead, false), w.readings > w.warned
FROM candidate c JOIN series s USING (series) JOIN sensor n USING (sensor_id)
LEFT JOIN LATERAL (
    SELECT start FROM window_1d d WHERE d.series = c.series AND d.maximum > 0
    AND d.start > c.first - interval '26 weeks' AND d.start <= c.first ORDER BY start DESC LIMIT 1
) counted ON true
JOIN window_1h w ON w.series = c.series
    AND w.start >= coalesce(counted.start - interval '6 weeks', c.first - interval '1 day')
    AND w.start <= c.last + interval '26 weeks'
LEFT JOIN LATERAL (
    SELECT true AS dead FROM reading r WHERE w.flagged + w.warned > 0 AND r.series = w.series AND r.start >= w.start
    AND r.start < w.start + interval '1 hour' AND r.flags & 1536 <> 0 LIMIT 1
) f ON true
WHERE w.readings > 0 OR f.dead
ORDER BY c.series, w.start

-- name: list_zero_readings
-- The readings of zero in hours of series that are not frozen: number of the hour, start, flags, whether they are validated.
SELECT h.at::integer, (extract(epoch FROM r.start) * 1000000)::bigint, r.flags, r.status = 1
FROM unnest(%(series)s::int[], %(hours)s::timestamptz[]) WITH ORDINALITY AS h (series, hour, at)
JOIN reading r ON r.series = h.series AND r.start >= h.hour AND r.start < h.hour + interval '1 hour'
WHERE r.value = 0 AND r.flags & 7 = 0
  AND NOT EXISTS (SELECT FROM frozen f WHERE f.day = (h.hour AT TIME ZONE 'UTC')::date)

-- name: clear_staged
-- What was staged is written; other readings can be.
TRUNCATE stage, judged, touched

-- name: set_neighbour_flags, planned each time
-- Write the derived flags of the staged readings; 1944 are the flags that are derived from other readings.
WITH changed AS (
    UPDATE reading r SET flags = r.flags & ~1944 | s.flags
    FROM stage s
    WHERE r.series = s.series AND r.start = s.start AND r.start BETWEEN %(first)s AND %(last)s
      AND (%(members)s::int[] IS NULL OR r.series = ANY (%(members)s::int[]))
    RETURNING r.series, r.start
)
INSERT INTO judged (series, start, outcome) SELECT series, start, 1 FROM changed

-- name: add_changed_hours
-- The hours of readings whose flags changed are rolled up, too.
INSERT INTO dirty (series, start)
SELECT DISTINCT series, date_trunc('hour', start, 'UTC') FROM judged
EXCEPT SELECT series, start FROM dirty

-- name: roll_hours
-- The dirty hours from their 5-minute rows; `again` only those of readings that got other flags after they were written.
INSERT INTO window_1h AS h (series, start, {evidence_columns})
SELECT d.series, d.start, {sum_windows}, {sum_covered}
FROM dirty d JOIN window_5m w ON w.series = d.series AND w.start >= d.start AND w.start < d.start + interval '1 hour'
WHERE w.start >= %(first)s AND w.start < %(last)s + interval '1 hour'
  AND NOT EXISTS (SELECT FROM frozen f WHERE f.day = (d.start AT TIME ZONE 'UTC')::date) AND {is_due}
GROUP BY d.series, d.start
ON CONFLICT (series, start) DO UPDATE SET {replace_evidence}, computed_at = now(),
    revision = h.revision + (h.computed_at <> now())::integer

-- name: is_due
-- Whether a dirty hour d is to be written.
(NOT %(again)s OR (d.series, d.start) IN (SELECT series, date_trunc('hour', start, 'UTC') FROM judged))

-- name: sum_windows
-- A longer window's evidence from its shorter windows w.
sum(w.readings)::integer AS readings,
sum(w.nothing)::integer AS nothing,
sum(w.flagged)::integer AS flagged,
sum(w.failed)::integer AS failed,
sum(w.warned)::integer AS warned,
sum(w.total) AS total,
sum(w.weight) AS weight,
sum(w.weighted) AS weighted,
sum(w.squares) AS squares,
sum(w.harmonic) AS harmonic,
min(w.minimum) AS minimum,
max(w.maximum) AS maximum,
min(w.status) AS status

-- name: sum_covered
-- Of those: null where one does not know it.
CASE WHEN bool_and(w.covered IS NOT NULL) THEN sum(w.covered) END AS covered

-- name: replace_evidence
-- The evidence of a window that is there already becomes the new one.
readings = excluded.readings, nothing = excluded.nothing, flagged = excluded.flagged, failed = excluded.failed,
warned = excluded.warned, total = excluded.total, weight = excluded.weight, weighted = excluded.weighted,
squares = excluded.squares, harmonic = excluded.harmonic, minimum = excluded.minimum, maximum = excluded.maximum,
covered = excluded.covered, status = excluded.status

-- name: roll_days
-- The civil days of the dirty hours from the rows of window_1h.
WITH days AS MATERIALIZED (
    SELECT DISTINCT d.series, date_trunc('day', d.start, q.zone) AS start, q.coverage, s.period,
           (date_trunc('day', d.start AT TIME ZONE q.zone) + interval '1 day') AT TIME ZONE q.zone AS "end"
    FROM dirty d JOIN series s USING (series) JOIN quantity q USING (quantity) WHERE {is_due}
)
INSERT INTO window_1d AS t (series, start, {evidence_columns}, valid_hours)
{sum_days}
ON CONFLICT (series, start) DO UPDATE SET {replace_evidence}, valid_hours = excluded.valid_hours, computed_at = now(),
    revision = t.revision + (t.computed_at <> now())::integer

-- name: sum_days
-- The days d (series, start, "end", period) of a quantity from their hours w, with the hours that are valid by themselves. A
-- reading longer than an hour that ends after the day, by more than a valid day may lack, says not how much of it is covered.
SELECT d.series, d.start, {sum_windows},
       CASE WHEN bool_and(w.covered IS NOT NULL AND (d.period <= 3600 OR w.start + d.period * interval '1 second'
                          <= d."end" + (1 - d.coverage) * (d."end" - d.start))) THEN sum(w.covered) END AS covered,
       (count(*) FILTER (WHERE coalesce(w.covered / 3600 >= d.coverage, false)))::integer AS valid_hours
FROM days d JOIN window_1h w ON w.series = d.series AND w.start >= d.start AND w.start < d."end"
GROUP BY d.series, d.start

-- name: close_hours
-- Hours before `until` are served from window_1h, once none of those that are not closed yet is marked.
UPDATE rollup SET closed_until = %(until)s
WHERE closed_until < %(until)s AND NOT EXISTS (SELECT FROM mark WHERE hour >= closed_until AND hour < %(until)s)
