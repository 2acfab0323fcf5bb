-- Windows that rules look at, of exactly these sensors and starts: where few of a large rectangle changed.
SELECT f.quantity, f.sensor_id, (extract(epoch FROM f.start) * 1000000)::bigint,
       (extract(epoch FROM f."end") * 1000000)::bigint, f.value, f.coverage, f.valid, f.revision, f.readings, f.flagged,
       f.failed, f.warned
FROM unnest(%(sensors)s::text[], %(starts)s::timestamptz[]) AS n (sensor_id, start)
CROSS JOIN LATERAL (
    SELECT * FROM <view> v
    WHERE v.sensor_id = n.sensor_id AND v.start = n.start AND v.quantity = ANY(%(quantities)s) OFFSET 0
) f
