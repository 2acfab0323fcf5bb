-- Marked hours become rows of window_1h and window_1d, as `streams.rollup.rollup` runs it.

-- name: read_snapshot
-- What differs once another transaction that wrote something has ended, in any database of the server.
SELECT pg_current_snapshot()::text

-- name: lock_roll_up
-- One roll-up at a time; a second waits here and takes over.
SELECT pg_advisory_xact_lock(hashtext('stadspuls rollup'))

-- name: find_mark
-- Whether a closed hour is marked. A transaction that looks into temporary tables writes, even where they stay empty.
SELECT 1 FROM mark WHERE hour < %(until)s LIMIT 1

-- name: take_marks
-- The marks of the oldest closed hours, about `most` of them but never part of an hour's: delete what this statement sees,
-- then (in a later one) read the 5-minute rows. In the order of the keys, in which rows are read and written soonest.
WITH taken AS (
    DELETE FROM mark WHERE hour <= (
        SELECT max(hour) FROM (
            SELECT hour, sum(sum(cardinality(members))) OVER (ORDER BY hour) - sum(cardinality(members)) AS before
            FROM (SELECT hour, members FROM mark WHERE hour < %(until)s ORDER BY hour LIMIT %(most)s) m GROUP BY hour
        ) m WHERE before < %(most)s
    ) RETURNING hour, members
)
INSERT INTO dirty (series, start)
SELECT DISTINCT series, hour FROM (SELECT unnest(members) AS series, hour FROM taken ORDER BY series, hour) m

-- name: read_dirty_span
-- How many hours there are to do, the first and the last.
SELECT count(*), min(start), max(start) FROM dirty

-- name: analyze_dirty
-- A temporary table has no statistics before.
ANALYZE dirty

-- name: list_ruled_series
-- The series of dirty hours that have neighbour rules, in order, with the rules of the sensor's own, whether the rules only
-- warn, and how far they reach.
SELECT series, quantity, n.overrides -> quantity, coalesce(o.class = 'reference', false), reach
FROM (SELECT DISTINCT series FROM dirty) d JOIN series s USING (series) JOIN quantity q USING (quantity)
JOIN sensor n USING (sensor_id) LEFT JOIN source o USING (source) CROSS JOIN LATERAL (SELECT {rule_reach} AS reach) m
WHERE reach > interval '0' ORDER BY series

-- name: rule_reach
-- How far the neighbour rules of a quantity q reach at a sensor n; the catalogue may give it rules of its own.
greatest(q.memory, 1.5 * (n.overrides -> q.quantity ->> 'stuck')::float8,
         CASE WHEN n.overrides -> q.quantity ? 'spike' THEN 21600 END) * interval '1 second'

-- name: list_neighbour_readings, planned each time
-- Readings with a value around the dirty hours of some series that have neighbour rules, as bytes: `judged` are those near
-- enough to a dirty hour for a verdict, the others are only compared with. LATERAL and OFFSET look them up series by series,
-- for the same hours of all others are read with other members.
WITH ruled AS MATERIALIZED (
    SELECT series, reach FROM series s JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
    CROSS JOIN LATERAL (SELECT {rule_reach} AS reach) m
    WHERE series = ANY(%(members)s::int[])
), span AS (
    SELECT series, reach, unnest(range_agg(tstzrange(lower(run) - 2 * reach, upper(run) + 2 * reach))) AS span
    FROM (
        SELECT series, unnest({runs}) AS run FROM dirty d WHERE series = ANY(%(members)s::int[]) GROUP BY series
    ) d JOIN ruled USING (series) GROUP BY series, reach
)
SELECT int4send(p.series) || timestamptz_send(r.start) || float8send(r.value) || int4send(r.flags) || int2send(r.status)
       || boolsend(r.start >= lower(p.span) + p.reach AND r.start < upper(p.span) - p.reach) AS bytes
FROM span p CROSS JOIN LATERAL (
    SELECT r.start, r.value, r.flags, r.status FROM reading r
    WHERE r.series = p.series AND r.start >= lower(p.span) AND r.start < upper(p.span) AND r.value IS NOT NULL
      AND r.flags & 7 = 0 AND r.start >= %(first)s AND r.start < %(last)s OFFSET 0
) r

-- name: list_count_hours, planned each time
-- The hours, of series of counts, that say whether dirty ones are dead, in order: whether one is zero, may have the flags of
-- dead readings, has readings that count, and some of these without a flag; and from when on runs are judged, of which all of
-- the past that counts is read. Candidates are hours among eight of zeros in a row which counted something in one of the six
-- weeks before, and neighbours of hours with flags: so nights cost little, and counters that live a look at each hour and its
-- neighbours. The profile is the six weeks before the last day, within half a year, that counted something before.
WITH near_zero AS MATERIALIZED (
    SELECT d.series, d.start FROM dirty d JOIN series s USING (series) CROSS JOIN LATERAL (
        SELECT FROM window_1h p
        WHERE p.series = d.series AND p.start BETWEEN d.start - interval '1 hour' AND d.start + interval '1 hour'
          AND p.start BETWEEN %(first)s - interval '1 hour' AND %(last)s + interval '1 hour'
          AND coalesce(p.maximum, 0) = 0 LIMIT 1) z
    WHERE s.quantity = ANY(%(quantities)s)
), candidate AS (
    SELECT d.series, min(d.start) AS first, max(d.start) AS last
    FROM near_zero d CROSS JOIN LATERAL (
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
    WHERE flagged OR zero AND zeros >= interval '8 hours' AND EXISTS (
        SELECT FROM generate_series(1, 6) AS w (weeks)
        JOIN window_1h p ON p.series = d.series AND p.start = d.start - w.weeks * interval '7 days'
        WHERE p.maximum > 0 AND p.start >= %(first)s - interval '42 days' AND p.start < %(last)s)
    GROUP BY d.series
)
SELECT c.series, s.quantity, n.overrides -> s.quantity AS overrides, (extract(epoch FROM w.start) * 1000000)::bigint AS start,
       coalesce(w.maximum, 0) = 0 AS zero, w.flagged + w.warned > 0 AS flagged, w.readings > 0 AS counts,
       w.readings > w.warned AS unmarked, coalesce((extract(epoch FROM counted.start) * 1000000)::bigint, 0) AS since
FROM candidate c JOIN series s USING (series) JOIN sensor n USING (sensor_id) JOIN quantity q USING (quantity)
CROSS JOIN LATERAL (SELECT date_trunc('day', c.first, q.zone) AS start) today
CROSS JOIN LATERAL (
    SELECT max(start) AS start FROM (
        SELECT today.start WHERE EXISTS (  -- whose row may not be written yet
            SELECT FROM window_1h h WHERE h.series = c.series AND h.start >= today.start AND h.maximum > 0
            AND h.start < c.first - interval '1 hour')
        UNION ALL
        (SELECT start FROM window_1d d WHERE d.series = c.series AND d.maximum > 0
         AND d.start > c.first - interval '26 weeks' AND d.start < today.start ORDER BY start DESC LIMIT 1)
    ) days
) counted
CROSS JOIN LATERAL (
    SELECT * FROM window_1h h
    WHERE h.series = c.series AND h.start >= coalesce(counted.start - interval '6 weeks', c.first - interval '1 day')
      AND h.start <= c.last + interval '26 weeks'
      AND h.start >= %(first)s - interval '33 weeks' AND h.start < %(last)s + interval '27 weeks' OFFSET 0
) w
WHERE w.readings + w.flagged + w.warned > 0
ORDER BY c.series, w.start

-- name: list_dead_hours, planned each time
-- Those of some hours of series, with their starts in us, that have the flags of dead readings.
SELECT h.series, h.start
FROM unnest(%(series)s::int[], %(start)s::bigint[]) AS h (series, start)
CROSS JOIN LATERAL (SELECT timestamptz 'epoch' + h.start * interval '1 microsecond' AS start) t
CROSS JOIN LATERAL (
    SELECT FROM reading r WHERE r.series = h.series AND r.start >= t.start AND r.start < t.start + interval '1 hour'
    AND r.start >= %(first)s AND r.start < %(last)s AND r.flags & 1536 <> 0 LIMIT 1
) r

-- name: list_dead_readings, planned each time
-- The readings of zero in hours of series, none of them frozen, that are not flagged as they should be: those of a dead
-- counter with 512, with 1024 where that only warns, the others with neither. As bytes, with all their derived flags.
SELECT int4send(r.series) || timestamptz_send(r.start) || int4send(r.flags & 408 | f.flag) AS bytes
FROM unnest(%(series)s::int[], %(hours)s::timestamptz[], %(dead)s::bool[]) AS h (series, hour, dead)
JOIN series s USING (series) JOIN sensor n USING (sensor_id) LEFT JOIN source o USING (source)
JOIN reading r ON r.series = h.series AND r.start >= h.hour AND r.start < h.hour + interval '1 hour'
    AND r.start >= %(first)s AND r.start < %(last)s
CROSS JOIN LATERAL (
    SELECT CASE WHEN NOT h.dead THEN 0 WHEN r.status = 1 OR o.class = 'reference' THEN 1024 ELSE 512 END AS flag) f
WHERE r.value = 0 AND r.flags & 7 = 0 AND r.flags & 1536 <> f.flag
  AND NOT EXISTS (SELECT FROM frozen z WHERE z.day = (h.hour AT TIME ZONE 'UTC')::date)

-- name: clear_staged
-- What was staged is written; other readings can be.
TRUNCATE stage, judged, touched

-- name: set_derived_flags, planned each time
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
-- The hours of readings whose flags changed are rolled up, too; those that are still marked will be.
INSERT INTO dirty (series, start)
SELECT DISTINCT series, date_trunc('hour', start, 'UTC') FROM judged
EXCEPT SELECT series, start FROM dirty
EXCEPT SELECT unnest(members), hour FROM mark WHERE hour IN (SELECT date_trunc('hour', start, 'UTC') FROM judged)

-- name: list_touched_windows
-- Sensor and start, in us, of the 5-minute windows whose readings changed.
SELECT sensor_id, (extract(epoch FROM start) * 1000000)::bigint FROM touched JOIN series USING (series)

-- name: roll_hours, planned each time
-- The dirty hours from their 5-minute rows; `again` only those of readings that got other flags after they were written. Runs,
-- of hours of one series without a gap, of which none is there yet, as history has, need no upsert: looking for each hour before
-- it is written takes longer than writing it. Nobody else writes hours meanwhile. One look into the index finds all 5-minute
-- rows of a run.
WITH run AS MATERIALIZED (
    SELECT n.*, (SELECT true FROM window_1h h WHERE h.series = n.series AND h.start >= n.first AND h.start < n.last LIMIT 1)
                IS NOT NULL AS known
    FROM (
        SELECT series, lower(run) AS first, upper(run) AS last
        FROM (SELECT series, unnest({runs}) AS run FROM dirty d WHERE {is_due} GROUP BY series ORDER BY series) u OFFSET 0
    ) n
), replaced AS (
    INSERT INTO window_1h AS h (series, start, {evidence_columns})
    {sum_hours} AND r.known
    ON CONFLICT (series, start) DO UPDATE SET {replace_evidence}, computed_at = now(),
        revision = h.revision + (h.computed_at <> now())::integer
)
INSERT INTO window_1h (series, start, {evidence_columns})
{sum_hours} AND NOT r.known

-- name: runs
-- The runs of the hours d of a series.
range_agg(tstzrange(d.start, d.start + interval '1 hour'))

-- name: sum_hours
-- The hours e of runs r.
SELECT r.series, e.*
FROM run r CROSS JOIN LATERAL (
    SELECT date_bin('1 hour', w.start, 'epoch') AS start, {sum_windows}, {sum_covered} FROM window_5m w
    WHERE w.series = r.series AND w.start >= r.first AND w.start < r.last
      AND w.start >= %(first)s AND w.start < %(last)s + interval '1 hour' GROUP BY 1 OFFSET 0
) e
WHERE {not_frozen}

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

-- name: roll_days, planned each time
-- The civil days of the dirty hours from the rows of window_1h. A day of which later hours are still marked is written with
-- the last of them: else each transaction of a history would write the days of many series again.
WITH later AS MATERIALIZED (
    SELECT DISTINCT unnest(members) AS series, hour FROM mark
    WHERE hour >= %(first)s AND hour < least(%(until)s, %(last)s + interval '25 hours')
), days AS MATERIALIZED (
    SELECT * FROM (
        SELECT DISTINCT d.series, date_trunc('day', d.start, q.zone) AS start, q.coverage, s.period,
               day_end(date_trunc('day', d.start, q.zone), q.zone) AS "end"
        FROM ({dirty_spans}) n CROSS JOIN LATERAL (VALUES (n.series, n.first), (n.series, n.last)) d (series, start)
        JOIN series s ON s.series = d.series JOIN quantity q USING (quantity)
    ) d
    WHERE NOT EXISTS (SELECT FROM later l WHERE l.series = d.series AND l.hour >= d.start AND l.hour < d."end")
    ORDER BY series, start
)
INSERT INTO window_1d AS t (series, start, {evidence_columns}, valid_hours)
{sum_days}
ON CONFLICT (series, start) DO UPDATE SET {replace_evidence}, valid_hours = excluded.valid_hours, computed_at = now(),
    revision = t.revision + (t.computed_at <> now())::integer

-- name: dirty_spans
-- The first and the last dirty hour of each series and UTC day, which no more than two civil days share.
SELECT series, min(start) AS first, max(start) AS last FROM dirty d WHERE {is_due}
GROUP BY series, date_bin('1 day', start, 'epoch')

-- name: sum_days
-- The days d (series, start, "end", period) of a quantity from their hours w, with the hours that are valid by themselves. A
-- reading longer than an hour that ends after the day, by more than a valid day may lack, says not how much of it is covered.
-- OFFSET makes the planner look up the hours of each day, and never read all hours that are stored.
SELECT d.series, d.start, {sum_windows},
       CASE WHEN bool_and(w.covered IS NOT NULL AND (d.period <= 3600 OR w.start + d.period * interval '1 second'
                          <= d."end" + (1 - d.coverage) * (d."end" - d.start))) THEN sum(w.covered) END AS covered,
       (count(*) FILTER (WHERE coalesce(w.covered / 3600 >= d.coverage, false)))::integer AS valid_hours
FROM days d CROSS JOIN LATERAL (
    SELECT * FROM window_1h h WHERE h.series = d.series AND h.start >= d.start AND h.start < d."end"
      AND h.start >= %(first)s - interval '25 hours' AND h.start < %(last)s + interval '25 hours' OFFSET 0
) w
GROUP BY d.series, d.start

-- name: take_dirty_sensors
-- The sensors and hours of the dirty hours whose evidence is stored; whether there are any.
WITH taken AS (
    INSERT INTO dirty_sensor (head, start)
    SELECT s.head, d.start FROM dirty d JOIN series s USING (series) WHERE s.stored AND NOT s.alone
    UNION SELECT p.head, d.start FROM dirty d JOIN group_part p USING (series) JOIN series g ON g.series = p.head WHERE g.stored
    RETURNING 1
)
SELECT count(*) > 0 FROM taken

-- name: analyze_dirty_sensors
-- A temporary table has no statistics before.
ANALYZE dirty_sensor

-- name: delete_sensor_hours, planned each time
-- Delete the evidence of these sensors' hours, before it is made anew.
DELETE FROM sensor_evidence_1h e USING dirty_sensor d
WHERE e.head = d.head AND e.start = d.start AND e.start >= %(first)s AND e.start <= %(last)s

-- name: roll_sensor_hours, planned each time
-- The evidence of these sensors' hours. OFFSET makes the planner look up each hour of a series: of those that were just written
-- it knows nothing, and would compare each with all.
WITH figures AS (
    SELECT a.* FROM dirty_sensor d JOIN series m ON m.head = d.head CROSS JOIN LATERAL (
        SELECT * FROM ({rolled_hours}) a
        WHERE a.series = m.series AND a.start = d.start AND a.start >= %(first)s AND a.start <= %(last)s OFFSET 0
    ) a
    UNION ALL
    SELECT a.* FROM dirty_sensor d CROSS JOIN LATERAL (
        SELECT * FROM ({rolled_group_hours}) a
        WHERE a.head = d.head AND a.start = d.start AND a.start >= %(first)s AND a.start <= %(last)s OFFSET 0
    ) a
    WHERE {has_parts}
), {combine_channels}
INSERT INTO sensor_evidence_1h ({evidence_of_sensors}) SELECT {evidence_of_sensors} FROM sensors

-- name: has_parts
-- Whether the head of d is that of a group.
EXISTS (SELECT FROM group_part p WHERE p.head = d.head)

-- name: dirty_sensor_days
-- The same for the days of these hours.
SELECT DISTINCT d.head, date_trunc('day', d.start, q.zone) AS start
FROM dirty_sensor d JOIN series s ON s.series = d.head JOIN quantity q USING (quantity)

-- name: delete_sensor_days, planned each time
-- Delete the evidence of these sensors' days, before it is made anew.
DELETE FROM sensor_evidence_1d e USING ({dirty_sensor_days}) d
WHERE e.head = d.head AND e.start = d.start AND e.start >= %(first)s - interval '25 hours' AND e.start <= %(last)s

-- name: roll_sensor_days, planned each time
-- The evidence of these sensors' days, looked up as their hours are.
WITH figures AS (
    SELECT a.* FROM ({dirty_sensor_days}) d JOIN series m ON m.head = d.head CROSS JOIN LATERAL (
        SELECT * FROM ({rolled_days}) a WHERE a.series = m.series AND a.start = d.start
            AND a.start >= %(first)s - interval '25 hours' AND a.start <= %(last)s OFFSET 0
    ) a
    UNION ALL
    SELECT a.* FROM ({dirty_sensor_days}) d CROSS JOIN LATERAL (
        SELECT * FROM ({rolled_group_days}) a WHERE a.head = d.head AND a.start = d.start
            AND a.start >= %(first)s - interval '25 hours' AND a.start <= %(last)s OFFSET 0
    ) a
    WHERE {has_parts}
), {combine_channels}
INSERT INTO sensor_evidence_1d ({evidence_of_sensors}) SELECT {evidence_of_sensors} FROM sensors

-- name: take_unstored
-- The next sensors whose evidence is to be stored: of those with days a few thousand of their series together, at least one
-- sensor. What decides how their channels combine is read later.
UPDATE series u SET stored = true
FROM (
    SELECT head, sum(days) OVER (ORDER BY head) - days AS before
    FROM (SELECT DISTINCT head FROM series WHERE NOT stored AND NOT alone AND head IS NOT NULL ORDER BY head LIMIT 500) s
    CROSS JOIN LATERAL (
        SELECT count(*) * coalesce(extract(day FROM max(b.start) - min(a.start)), 0) AS days
        FROM (SELECT m.series FROM series m WHERE m.head = s.head UNION SELECT series FROM group_part WHERE head = s.head) m
        CROSS JOIN LATERAL (SELECT start FROM window_1d w WHERE w.series = m.series ORDER BY start LIMIT 1) a
        CROSS JOIN LATERAL (SELECT start FROM window_1d w WHERE w.series = m.series ORDER BY start DESC LIMIT 1) b
    ) d
) n
WHERE u.head = n.head AND NOT u.alone AND n.before < 5000
RETURNING u.series

-- name: take_stored_hours
-- All hours of these series, and of the parts of these groups, as if they were dirty.
INSERT INTO dirty (series, start)
SELECT series, start FROM window_1h
WHERE series = ANY(%(series)s::integer[] || ARRAY(SELECT series FROM group_part WHERE head = ANY(%(series)s::integer[])))

-- name: close_hours
-- Hours before that of `until` are served from window_1h, as far as none of those that are not closed yet is marked.
UPDATE rollup SET closed_until = h.until
FROM (
    SELECT least(date_trunc('hour', %(until)s::timestamptz, 'UTC'), min(m.hour)) AS until
    FROM rollup r LEFT JOIN mark m ON m.hour >= r.closed_until
) h
WHERE closed_until < h.until
