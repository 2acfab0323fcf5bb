-- A batch of readings in one transaction, as `streams.commit.pipeline` runs it: position, readings, 5-minute windows, marks.

-- name: advance_position
-- Lock the log position's row for the rest of the transaction, then share the freeze lock; without a position of its own
-- the log counts batches.
WITH advanced AS (
    INSERT INTO log_position AS p (topic, partition, position)
    VALUES (%(topic)s, %(partition)s, coalesce(%(position)s, 1))
    ON CONFLICT (topic, partition) DO UPDATE
    SET position = greatest(p.position, coalesce(%(position)s, p.position + 1))
    RETURNING topic
)
SELECT pg_advisory_xact_lock_shared(hashtext('stadspuls freeze')) FROM advanced

-- name: note_identities
-- Note when each of these messages was received first; stamps in us. Gives sensor, stamp and first receipt, but not of two
-- messages of one sensor and stamp. A message that comes again after a day is another: counters begin anew.
WITH given AS (
    SELECT key, sensor_id, start FROM unnest(%(key)s::text[], %(sensor_id)s::text[], %(start)s::bigint[])
        AS n (key, sensor_id, start)
), noted AS (
    INSERT INTO message_identity AS m (identity, first_at)
    SELECT key, timestamptz 'epoch' + min(start) * interval '1 microsecond' FROM given GROUP BY key ORDER BY key
    ON CONFLICT (identity) DO UPDATE SET first_at = CASE
        WHEN excluded.first_at > m.first_at + interval '1 day' THEN excluded.first_at ELSE m.first_at END
    RETURNING identity, first_at
)
SELECT sensor_id, start, (extract(epoch FROM min(first_at)) * 1000000)::bigint
FROM given JOIN noted ON identity = key GROUP BY sensor_id, start HAVING count(DISTINCT key) = 1

-- name: share_freeze_lock
-- Held while a batch is on its way, so that no day freezes meanwhile. In a statement before the one that reads `frozen`:
-- a statement sees what was committed before it began to wait.
SELECT pg_advisory_xact_lock_shared(hashtext('stadspuls freeze'))

-- name: read_versions
-- What a batch must not miss: how often an import has changed the sensors, and the frozen days, since 1970.
SELECT version, ARRAY(SELECT day - date '1970-01-01' FROM frozen ORDER BY day) FROM catalogue

-- name: keep_totals
-- Running totals of a batch, at the ends of their periods; of two at one moment the greater is kept, and marked as unsure.
INSERT INTO running_total AS t (series, at, total, unsure)
SELECT series, n.start + make_interval(secs => s.period), n.total, n.unsure
FROM unnest(%(series)s::int[], %(start)s::timestamptz[], %(total)s::float8[], %(unsure)s::bool[])
     AS n (series, start, total, unsure)
JOIN series s USING (series)
ORDER BY 1, 2
ON CONFLICT (series, at) DO UPDATE SET total = greatest(t.total, excluded.total),
    unsure = t.unsure OR excluded.unsure OR t.total <> excluded.total

-- name: list_counts
-- What the totals of a batch, and the ones after each, make: series, start in us, count (NaN: it failed), weight, seconds
-- it covers, version and flags. A count is the difference to the total before; one below 0.9 of that begins anew, one
-- between the two is a fault (1). After more than 1.5 periods something is missing between (64). The version is the moment
-- of the total before, and 1 us more where one of the two is unsure (4160).
WITH given AS (
    SELECT series, n.start + make_interval(secs => s.period) AS at
    FROM unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start) JOIN series s USING (series)
), affected AS (
    SELECT series, at FROM given
    UNION
    SELECT g.series, l.at FROM given g CROSS JOIN LATERAL (
        SELECT r.at FROM running_total r WHERE r.series = g.series AND r.at > g.at ORDER BY r.at LIMIT 1) l
)
SELECT t.series, (extract(epoch FROM t.at) * 1000000)::bigint - s.period * 1000000::bigint, coalesce(c.value, 'NaN'),
       (c.value IS NOT NULL)::integer::float8, coalesce(c.since, s.period),
       coalesce((extract(epoch FROM p.at) * 1000000)::bigint, 0) + c.unsure::integer,
       CASE WHEN c.value IS NULL THEN 1 ELSE 0 END | CASE WHEN c.since > 1.5 * s.period THEN 64 ELSE 0 END
       | CASE WHEN c.unsure THEN 4160 ELSE 0 END
FROM affected JOIN running_total t USING (series, at) JOIN series s USING (series)
LEFT JOIN LATERAL (
    SELECT at, total, unsure FROM running_total r WHERE r.series = t.series AND r.at < t.at ORDER BY at DESC LIMIT 1
) p ON true
CROSS JOIN LATERAL (
    SELECT CASE WHEN t.total >= p.total THEN t.total - p.total WHEN t.total < 0.9 * p.total THEN t.total END AS value,
           extract(epoch FROM t.at - p.at)::float8 AS since, t.unsure OR coalesce(p.unsure, false) AS unsure
) c

-- name: leave_out_twins, planned each time
-- Staged readings that are stored as they are change nothing, whatever happens to the stored ones meanwhile: they are
-- duplicates before anything is locked or unpacked.
INSERT INTO judged (series, start, outcome)
SELECT s.series, s.start, 2
FROM stage s JOIN reading r ON r.series = s.series AND r.start = s.start
WHERE r.start BETWEEN %(first)s AND %(last)s
  AND (s.status, s.version, s.value, s.weight, s.covers, s.flags & 2087) IS NOT DISTINCT FROM
      (r.status, r.version, r.value, r.weight, r.covers, r.flags & 2087)
  AND s.flags & 4160 & ~r.flags = 0

-- name: insert_new_readings
-- The staged readings that are new.
WITH fresh AS (
    INSERT INTO reading (start, value, weight, covers, version, received_at, series, flags, status)
    SELECT start, value, weight, covers, version, received_at, series, flags, status FROM stage s
    WHERE NOT EXISTS (SELECT FROM judged j WHERE j.series = s.series AND j.start = s.start) ORDER BY series, start
    ON CONFLICT (series, start) DO NOTHING
    RETURNING series, start
)
INSERT INTO judged (series, start, outcome) SELECT series, start, 0 FROM fresh

-- name: lock_stored_readings
-- Lock the other stored twins of the staged readings, in order, also those that are packed; the series to unpack, else null.
SELECT lock_known(%(first)s, %(last)s)

-- name: correct_readings, planned each time
-- A staged reading replaces its stored twin when its (status, reach, version, value, weight, flags, covers) is greater, null
-- lowest, so that the order of arrival does not matter; reach is what an unfinished reading (2048) is about. Of two values
-- with one status, reach and version it is unknown which is right: the greater stays, marked ambiguous (64), and in conflict
-- (4096) where they do not agree. 39 are the flags that a supplier can give. OFFSET: as in `roll_sensor_hours`.
WITH pair AS (
    SELECT r.series, r.start, s.value, s.weight, s.covers, s.version, s.received_at, s.status, s.flags, r.flags AS known,
           (s.status, f.reach, s.version, coalesce(s.value, '-Infinity'), s.weight, s.flags & 39, coalesce(s.covers, -1))
         > (r.status, k.reach, r.version, coalesce(r.value, '-Infinity'), r.weight, r.flags & 39, coalesce(r.covers, -1))
               AS wins,
           (s.status, s.version, f.reach) = (r.status, r.version, k.reach) AS peers,
           CASE WHEN s.value IS NULL OR r.value IS NULL OR (s.value, s.weight) = (r.value, r.weight) THEN 0
                WHEN round(s.value / q.agree) = round(r.value / q.agree) THEN 64 ELSE 4160 END AS differ,
           (s.status, s.value, s.weight, s.flags & 2087, s.covers) IS NOT DISTINCT FROM
           (r.status, r.value, r.weight, r.flags & 2087, r.covers) AS same_figure
    FROM stage s JOIN reading r ON r.series = s.series AND r.start = s.start
    CROSS JOIN LATERAL (SELECT agree FROM series e JOIN quantity USING (quantity) WHERE e.series = s.series OFFSET 0) q
    CROSS JOIN LATERAL (SELECT CASE WHEN s.flags & 2048 <> 0 THEN s.covers ELSE 'Infinity' END AS reach) f
    CROSS JOIN LATERAL (SELECT CASE WHEN r.flags & 2048 <> 0 THEN r.covers ELSE 'Infinity' END AS reach) k
    WHERE r.start BETWEEN %(first)s AND %(last)s
      AND NOT EXISTS (SELECT FROM judged j WHERE j.series = s.series AND j.start = s.start)
), verdict AS (
    SELECT *, CASE WHEN peers THEN (flags | known) & 4160 | differ
                   WHEN wins THEN flags & 4160 ELSE known & 4160 END AS ambiguous
    FROM pair
), better AS (
    UPDATE reading r SET
        value       = CASE WHEN v.wins THEN v.value ELSE r.value END,
        weight      = CASE WHEN v.wins THEN v.weight ELSE r.weight END,
        covers      = CASE WHEN v.wins THEN v.covers ELSE r.covers END,
        version     = CASE WHEN v.wins THEN v.version ELSE r.version END,
        received_at = greatest(r.received_at, v.received_at),
        status      = CASE WHEN v.wins THEN v.status ELSE r.status END,
        flags       = v.ambiguous | CASE WHEN v.wins AND NOT v.same_figure THEN v.flags & 2087 ELSE v.known & ~4160 END
    FROM verdict v
    WHERE r.series = v.series AND r.start = v.start AND r.start BETWEEN %(first)s AND %(last)s
      AND (%(members)s::int[] IS NULL OR r.series = ANY (%(members)s::int[]))
      AND (v.wins OR v.ambiguous <> v.known & 4160)
    RETURNING v.series, v.start, v.same_figure AND v.ambiguous = v.known & 4160 AS only_version,
              v.ambiguous & ~v.known & 64 <> 0 AS newly_ambiguous
)
INSERT INTO judged (series, start, outcome)
SELECT series, start, CASE WHEN only_version THEN 2 WHEN newly_ambiguous THEN 5 ELSE 1 END FROM better

-- name: touch_changed_windows
-- The 5-minute rows of readings that are new or changed, as rows that add nothing: merging them locks them.
INSERT INTO touched (series, start)
SELECT DISTINCT series, date_bin('5 minutes', start, 'epoch') FROM judged WHERE outcome <> 2

-- name: merge_windows
-- Add the folded evidence to the 5-minute rows, in the order that keeps overlapping workers from deadlocks.
INSERT INTO window_5m AS w (series, start, {evidence_columns})
SELECT series, start, {evidence_columns} FROM touched ORDER BY series, start
ON CONFLICT (series, start) DO UPDATE SET
    readings = w.readings + excluded.readings,
    nothing  = w.nothing + excluded.nothing,
    flagged  = w.flagged + excluded.flagged,
    failed   = w.failed + excluded.failed,
    warned   = w.warned + excluded.warned,
    total    = w.total + excluded.total,
    weight   = w.weight + excluded.weight,
    weighted = w.weighted + excluded.weighted,
    squares  = w.squares + excluded.squares,
    harmonic = w.harmonic + excluded.harmonic,
    minimum  = least(w.minimum, excluded.minimum),
    maximum  = greatest(w.maximum, excluded.maximum),
    covered  = w.covered + excluded.covered,
    status   = least(w.status, excluded.status),
    revision = w.revision + 1,
    computed_at = now()

-- name: evidence_columns
-- The columns of a window that `fold_readings` makes.
readings, nothing, flagged, failed, warned, total, weight, weighted, squares, harmonic, minimum, maximum, status, covered

-- name: recompute_windows, planned each time
-- Make the touched 5-minute rows, which the merge has locked, anew from their readings.
UPDATE window_5m w SET ({evidence_columns}) = (SELECT {evidence_columns} FROM (SELECT {fold_readings}
    FROM reading r
    WHERE r.series = w.series AND r.start >= w.start AND r.start < w.start + interval '5 minutes'
      AND r.start >= date_bin('5 minutes', %(first)s, 'epoch') AND r.start < %(end)s) e)
FROM touched t
WHERE w.series = t.series AND w.start = t.start
  AND w.start >= date_bin('5 minutes', %(first)s, 'epoch') AND w.start <= %(last)s
  AND (%(members)s::int[] IS NULL OR w.series = ANY (%(members)s::int[]))

-- name: fold_readings
-- A window's evidence from its readings r: the SQL twin of streams.commit.windows.fold. 3552 are the warnings.
count(r.value) FILTER (WHERE {counts_in_figures}) AS readings,
count(*) FILTER (WHERE r.value IS NULL AND r.series IS NOT NULL AND {counts_in_figures}) AS nothing,
count(r.value) FILTER (WHERE r.flags & 4639 <> 0) AS flagged,
count(*) FILTER (WHERE r.value IS NULL AND r.flags & 4639 <> 0) AS failed,
count(*) FILTER (WHERE {counts_in_figures} AND r.flags & 3552 <> 0) AS warned,
coalesce(sum(r.value) FILTER (WHERE {counts_in_figures}), 0) AS total,
coalesce(sum(r.weight) FILTER (WHERE r.value IS NOT NULL AND {counts_in_figures}), 0) AS weight,
coalesce(sum(r.weight * r.value) FILTER (WHERE {counts_in_figures}), 0) AS weighted,
coalesce(sum(r.value * r.value) FILTER (WHERE {counts_in_figures}), 0) AS squares,
coalesce(sum(r.weight / greatest(r.value, 1)) FILTER (WHERE r.value IS NOT NULL AND {counts_in_figures}), 0) AS harmonic,
min(r.value) FILTER (WHERE {counts_in_figures}) AS minimum,
max(r.value) FILTER (WHERE {counts_in_figures}) AS maximum,
coalesce(min(r.status), 1) AS status,
CASE WHEN coalesce(bool_and(r.covers IS NOT NULL) FILTER (WHERE {counts_in_figures}), true)
     THEN coalesce(sum(r.covers) FILTER (WHERE {counts_in_figures}), 0) END AS covered

-- name: counts_in_figures
-- Whether a reading r counts; 4639 is EXCLUDES.
r.flags & 4639 = 0

-- name: mark_touched_hours
-- The hours of the touched 5-minute rows are to be rolled up.
INSERT INTO mark (hour, members)
SELECT date_bin('1 hour', start, 'epoch') AS hour, array_agg(DISTINCT series) FROM touched GROUP BY hour ORDER BY hour

-- name: insert_marks
-- Hours to be rolled up, each with its members.
INSERT INTO mark (hour, members)
SELECT hour, members::integer[] FROM unnest(%(hour)s::timestamptz[], %(members)s::text[]) AS n (hour, members)

-- name: list_outcomes
-- What became of each staged reading: 0 stored, 1 corrected, 2 duplicate, 5 corrected and ambiguous since.
SELECT coalesce(j.outcome, 2) FROM stage s LEFT JOIN judged j USING (series, start) ORDER BY series, start
