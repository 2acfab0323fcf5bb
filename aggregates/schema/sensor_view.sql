-- A quantity with one series is its sensor's figure as it stands. Most sensors are like that, and asked for by themselves.
CREATE VIEW sensor_alone_<level> AS
SELECT a.sensor_id, ''::text AS channel, a.quantity, a.unit, a.start, a."end", a.value, a.estimate, a.space_mean, a.minimum,
       a.maximum, a.readings, a.nothing, a.flagged, a.failed, a.warned,
       a.coverage / e.expected AS coverage, a.valid AND e.expected = 1 AS valid,
       1::bigint AS lanes, e.expected AS lanes_expected, a.status, a.revision, a.computed_at, a.series, a.weight
FROM aggregate_<level> a
CROSS JOIN LATERAL (SELECT CASE WHEN a.channel = '' THEN 1 ELSE coalesce(a.lanes_known, 1) END AS expected) e
WHERE a.alone;

-- What a sensor counted in the windows of which no evidence of the sensor is stored.
CREATE VIEW sensor_computed_<level> AS
WITH figures AS (SELECT * FROM aggregate_<level> WHERE NOT alone AND (NOT stored OR running)), {combine_channels}
SELECT {sensor_figures}
FROM sensors f
CROSS JOIN LATERAL (
    SELECT CASE WHEN f.whole AND f.lanes = 1 THEN 1 ELSE coalesce(f.lanes_known, (
        SELECT 1 FROM series o WHERE o.sensor_id = f.sensor_id AND o.quantity = f.quantity
        HAVING count(DISTINCT o.channel) = 1)) END AS expected
) e;
