-- Parts of the views of `aggregates/schema/`.

-- name: series_figures
-- The figures of a window w of a series s of a quantity q and a sensor n of a source o.
s.sensor_id, s.channel, s.quantity, q.unit, s.period, s.series, s.head, w.start, w."end",
CASE WHEN w.readings > 0 THEN CASE q.aggregation
    WHEN 'sum' THEN w.total
    WHEN 'mean' THEN w.total / w.readings
    ELSE w.weighted / nullif(w.weight, 0) END END AS value,
CASE WHEN q.aggregation = 'sum' AND w.readings > 0 THEN w.total * w.length / nullif(w.covered, 0) END AS estimate,
CASE WHEN q.aggregation = 'weighted_mean' THEN w.weight / nullif(w.harmonic, 0) END AS space_mean,
w.minimum, w.maximum, w.readings, w.nothing, w.flagged, w.failed, w.warned,
CASE WHEN w.covered IS NOT NULL THEN least(1, w.covered / w.length) END AS coverage,
{is_valid} AS valid,
w.status, w.revision, w.computed_at, q.aggregation, w.weight, w.weighted, w.covered, w.length, s.alone,
s.stored, w.running, n.lanes AS lanes_known, coalesce(n.channels, o.channels, ARRAY[q.channels]) AS combined

-- name: is_valid
-- Whether such a window is valid: covered as the registry wants it, and by no more readings than it has room for. Readings
-- that overlap, as a mean of the last hour every ten minutes, cover it more than once.
CASE WHEN q.hours IS NULL OR w.length <= 3600 OR s.period > 3600
     THEN coalesce(w.covered / w.length >= q.coverage, false)
     ELSE w.valid_hours >= q.hours END
AND coalesce(w.covered <= 1.25 * ceil(w.length::float8 / nullif(s.period, 0)) * s.period, true)

-- name: rolled_hours
-- The figures of each series' hours in window_1h; of those that are not closed yet, too.
SELECT {series_figures}
FROM (SELECT w.*, w.start + interval '1 hour' AS "end", 3600 AS length, 0 AS valid_hours, false AS running
      FROM window_1h w) w
JOIN series s USING (series) JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
LEFT JOIN source o ON o.source = n.source
WHERE s.period <= 3600

-- name: rolled_days
-- The figures of each series' days. OFFSET keeps the planner from putting the end of the day, which takes longer to find than
-- a figure to make, in every place that uses it.
SELECT {series_figures}
FROM (
    SELECT w.*, e."end", extract(epoch FROM e."end" - w.start)::integer AS length, false AS running
    FROM window_1d w JOIN series s USING (series) JOIN quantity q USING (quantity)
    CROSS JOIN LATERAL (
        SELECT day_end(w.start, q.zone) AS "end" OFFSET 0
    ) e
) w
JOIN series s USING (series) JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
LEFT JOIN source o ON o.source = n.source
WHERE s.period <= w.length

-- name: combine_channels
-- The evidence of sensors, out of `figures` of their series: `any` of a lane where the source has it, else the sum of its
-- classes, over the lanes seen. Of each channel and window it takes the period with most coverage (tie: the shorter), never
-- two. Of alternatives, of a group each member's own, it takes the first that is valid, else the first that is there; separate
-- channels have no figure together.
best AS (
    SELECT DISTINCT ON (a.head, a.sensor_id, a.quantity, a.start, a.channel) a.*,
           split_part(a.channel, '/', 1) AS lane, split_part(a.channel, '/', 2) IN ('', 'any') AS is_any,
           CASE a.combined[1] WHEN 'lanes' THEN 0 WHEN 'separate' THEN (
               SELECT 1 FROM series o WHERE o.sensor_id = a.sensor_id AND o.quantity = a.quantity AND o.channel !~ '^index'
               HAVING count(DISTINCT o.channel) = 1)
           ELSE array_position(a.combined, a.channel) END AS place
    FROM figures a
    WHERE a.channel !~ '^index'
    ORDER BY a.head, a.sensor_id, a.quantity, a.start, a.channel, a.coverage DESC NULLS LAST, a.period
), ranked AS (
    SELECT *, coalesce(min(place) FILTER (WHERE valid) OVER w, min(place) OVER w) AS preferred
    FROM best WINDOW w AS (PARTITION BY head, sensor_id, quantity, start, combined)
), chosen AS (
    SELECT *, bool_or(is_any) OVER (PARTITION BY head, sensor_id, quantity, start, lane) AS has_any
    FROM ranked WHERE place = 0 OR place = preferred
), lanes AS (
    SELECT head, sensor_id, quantity, start, lane, min(unit) AS unit, min("end") AS "end", min(aggregation) AS aggregation,
           min(lanes_known) AS lanes_known, sum(value) AS value, sum(estimate) AS estimate,
           sum(value * covered) FILTER (WHERE readings > 0) AS timed, sum(covered) FILTER (WHERE readings > 0) AS time,
           sum(weighted) AS weighted, sum(weight) AS weight, sum(weight / nullif(space_mean, 0)) AS harmonic,
           avg(value) AS average, min(minimum) AS minimum, max(maximum) AS maximum,
           max(readings) AS readings, max(nothing) AS nothing, sum(flagged)::bigint AS flagged, sum(failed)::bigint AS failed,
           sum(warned)::bigint AS warned, CASE WHEN bool_and(coverage IS NOT NULL) THEN min(coverage) END AS coverage,
           bool_and(valid) AS valid, min(status) AS status, max(revision) AS revision, max(computed_at) AS computed_at,
           bool_and((channel = '' OR place > 0) AND NOT starts_with(sensor_id, 'group/')) AS whole
    FROM chosen WHERE is_any OR NOT has_any
    GROUP BY head, sensor_id, quantity, start, lane
), sensors AS (
    SELECT head, sensor_id, quantity, start, min(unit) AS unit, min("end") AS "end", min(aggregation) AS aggregation,
           min(lanes_known) AS lanes_known, sum(value) AS value, sum(estimate) AS estimate, sum(timed) AS timed, sum(time) AS time,
           sum(weighted) AS weighted, sum(weight) AS weight, sum(harmonic) AS harmonic, avg(average) AS average,
           min(minimum) AS minimum, max(maximum) AS maximum, sum(readings)::integer AS readings, sum(nothing)::integer AS nothing,
           sum(flagged)::integer AS flagged, sum(failed)::integer AS failed, sum(warned)::integer AS warned,
           CASE WHEN bool_and(coverage IS NOT NULL) THEN sum(coverage) END AS covered_lanes,
           count(*) FILTER (WHERE valid) AS valid_lanes, count(*) AS lanes, bool_and(whole) AS whole,
           min(status) AS status, max(revision) AS revision, max(computed_at) AS computed_at
    FROM lanes GROUP BY head, sensor_id, quantity, start
)

-- name: sensor_figures
-- The figures of a sensor's window f, of which e.expected lanes are expected.
f.sensor_id, ''::text AS channel, f.quantity, f.unit, f.start, f."end",
CASE f.aggregation WHEN 'sum' THEN f.value WHEN 'weighted_mean' THEN f.weighted / nullif(f.weight, 0)
                   ELSE coalesce(f.timed / nullif(f.time, 0), f.average) END AS value,
f.estimate, f.weight / nullif(f.harmonic, 0) AS space_mean, f.minimum, f.maximum,
f.readings, f.nothing, f.flagged, f.failed, f.warned,
CASE WHEN f.covered_lanes IS NOT NULL THEN least(1, f.covered_lanes / greatest(f.lanes, e.expected)) END AS coverage,
coalesce(f.valid_lanes >= e.expected AND f.valid_lanes = f.lanes, false) AS valid,
f.lanes, e.expected AS lanes_expected, f.status, f.revision, f.computed_at,
f.head AS series, f.weight

-- name: stored_evidence
-- A stored window w of a sensor and quantity h, with what else makes figures of it.
w.*, h.sensor_id, h.quantity, q.unit, q.aggregation, k.lanes_known

-- name: stored_sensors
-- The sensors and quantities whose evidence is stored, each with how many lanes are expected of it, counted once.
series h JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
CROSS JOIN LATERAL (
    SELECT CASE n.source WHEN 'group' THEN ({lanes_of_group}) ELSE coalesce(n.lanes, (
               SELECT 1 FROM series o WHERE o.sensor_id = h.sensor_id AND o.quantity = h.quantity
               HAVING count(DISTINCT o.channel) = 1)) END AS lanes_known OFFSET 0
) k

-- name: is_stored
-- Whether they are those of a stored window w.
w.head = h.series AND h.stored AND NOT h.alone

-- name: stored_lanes
-- How many lanes are expected in a stored window f.
SELECT CASE WHEN f.whole AND f.lanes = 1 THEN 1 ELSE f.lanes_known END AS expected

-- name: evidence_of_sensors
-- The columns of sensors' evidence.
head, start, value, estimate, timed, time, weighted, weight, harmonic, average, minimum, maximum, covered_lanes, computed_at,
valid_lanes, lanes, readings, nothing, flagged, failed, warned, revision, status, whole

-- name: index_figures
-- An index of an hour from windows w of its substances: the worst band decides; where several substances are there and
-- all have the same band, one more if the index has that rule. Those that decide are named.
b.index, w.start, min(w."end") AS "end",
max(b.band) + (bool_and(b.plus_one) AND count(*) > 1 AND min(b.band) = max(b.band))::integer AS value,
(array_agg(w.quantity ORDER BY b.band DESC, w.quantity))[1] AS worst,
array_agg(w.quantity ORDER BY w.quantity) AS substances, min(w.coverage) AS coverage, max(w.revision) AS revision,
max(w.computed_at) AS computed_at

-- name: measure_columns
-- A measure of an area, and the reason why it is null, out of its statistics s.
max(s.value) FILTER (WHERE s.measure = '<measure>') AS "<measure>",
CASE WHEN bool_or(s.measure = '<measure>') THEN max(s.attribute) FILTER (WHERE s.measure = '<measure>')
     WHEN count(s.measure) > 0 THEN 'not in the table of this vintage' ELSE 'no statistics of this area' END AS "<measure>_reason"
