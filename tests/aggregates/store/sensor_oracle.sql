-- What a sensor counted, computed from its series as the hub did before it stored evidence: the oracle of
-- `test_sensor_evidence`. <level> is 5m, 1h or 1d.
WITH best AS (
    SELECT DISTINCT ON (a.head, a.sensor_id, a.quantity, a.start, a.channel) a.*,
           split_part(a.channel, '/', 1) AS lane, split_part(a.channel, '/', 2) IN ('', 'any') AS is_any,
           CASE a.combined[1] WHEN 'lanes' THEN 0 WHEN 'separate' THEN (
               SELECT 1 FROM series o WHERE o.sensor_id = a.sensor_id AND o.quantity = a.quantity AND o.channel !~ '^index'
               HAVING count(DISTINCT o.channel) = 1)
           ELSE array_position(a.combined, a.channel) END AS place
    FROM aggregate_<level> a
    WHERE a.channel !~ '^index' AND NOT a.alone
    ORDER BY a.head, a.sensor_id, a.quantity, a.start, a.channel, a.coverage DESC NULLS LAST, a.period
), ranked AS (
    SELECT *, coalesce(min(place) FILTER (WHERE valid) OVER w, min(place) OVER w) AS preferred
    FROM best WINDOW w AS (PARTITION BY head, sensor_id, quantity, start)
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
           bool_and(channel = '' OR place > 0) AS whole
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
SELECT f.sensor_id, ''::text AS channel, f.quantity, f.unit, f.start, f."end",
       CASE f.aggregation WHEN 'sum' THEN f.value WHEN 'weighted_mean' THEN f.weighted / nullif(f.weight, 0)
                          ELSE coalesce(f.timed / nullif(f.time, 0), f.average) END AS value,
       f.estimate, f.weight / nullif(f.harmonic, 0) AS space_mean, f.minimum, f.maximum,
       f.readings, f.nothing, f.flagged, f.failed, f.warned,
       CASE WHEN f.covered_lanes IS NOT NULL THEN least(1, f.covered_lanes / greatest(f.lanes, e.expected)) END AS coverage,
       coalesce(f.valid_lanes >= e.expected AND f.valid_lanes = f.lanes, false) AS valid,
       f.lanes, e.expected AS lanes_expected, f.status, f.revision, f.computed_at,
       f.head AS series, f.weight
FROM sensors f
CROSS JOIN LATERAL (
    SELECT CASE WHEN f.whole AND f.lanes = 1 THEN 1 ELSE coalesce(f.lanes_known, (
        SELECT 1 FROM series o WHERE o.sensor_id = f.sensor_id AND o.quantity = f.quantity
        HAVING count(DISTINCT o.channel) = 1)) END AS expected
) e
