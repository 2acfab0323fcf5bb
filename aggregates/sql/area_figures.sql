-- What the sensors m of an area say together in a window f: over the valid ones, which are named.
min(m.vintage), min(m.code), min(f.quantity), f.start, count(*)::integer AS sensors,
(count(*) FILTER (WHERE f.valid))::integer AS valid_sensors,
CASE min(q.aggregation) WHEN 'sum' THEN sum(f.value) FILTER (WHERE f.valid) ELSE avg(f.value) FILTER (WHERE f.valid) END AS value,
CASE min(q.aggregation) WHEN 'sum' THEN sum(f.estimate) FILTER (WHERE f.valid) END AS estimate,
min(f.minimum) FILTER (WHERE f.valid) AS minimum, max(f.maximum) FILTER (WHERE f.valid) AS maximum,
sum(f.readings)::bigint AS readings, sum(f.flagged)::bigint AS flagged, sum(f.failed)::bigint AS failed,
CASE WHEN bool_and(f.coverage IS NOT NULL) THEN avg(f.coverage) END AS coverage,
CASE min(q.aggregation) WHEN 'sum' THEN bool_and(f.valid) ELSE bool_or(f.valid) END AS valid, min(f.status) AS status,
coalesce(array_agg(f.sensor_id ORDER BY m.place) FILTER (WHERE f.valid), '{}') AS members
