-- Windows that rules look at, of the sensors named (null: all): stamps in us. <view> is sensor_*.
SELECT quantity, sensor_id, (extract(epoch FROM start) * 1000000)::bigint, (extract(epoch FROM "end") * 1000000)::bigint,
       value, coverage, valid, revision, readings, flagged, failed, warned
FROM <view>
WHERE quantity = ANY(%(quantities)s) AND start >= %(first)s AND start < %(last)s
  AND (%(sensors)s::text[] IS NULL OR sensor_id = ANY(%(sensors)s))
