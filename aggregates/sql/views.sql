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
n.lanes AS lanes_known, coalesce(n.channels, o.channels, ARRAY[q.channels]) AS combined

-- name: is_valid
-- Whether such a window is valid: covered as the registry wants it, and by no more readings than it has room for. Readings
-- that overlap, as a mean of the last hour every ten minutes, cover it more than once.
CASE WHEN q.hours IS NULL OR w.length <= 3600 OR s.period > 3600
     THEN coalesce(w.covered / w.length >= q.coverage, false)
     ELSE w.valid_hours >= q.hours END
AND coalesce(w.covered <= 1.25 * ceil(w.length::float8 / nullif(s.period, 0)) * s.period, true)

-- name: index_figures
-- An index of an hour from windows w of its substances: the worst band decides; where several substances are there and
-- all have the same band, one more if the index has that rule. Those that decide are named.
b.index, w.start, min(w."end") AS "end",
max(b.band) + (bool_and(b.plus_one) AND count(*) > 1 AND min(b.band) = max(b.band))::integer AS value,
(array_agg(w.quantity ORDER BY b.band DESC, w.quantity))[1] AS worst,
array_agg(w.quantity ORDER BY w.quantity) AS substances, min(w.coverage) AS coverage, max(w.revision) AS revision,
max(w.computed_at) AS computed_at
