-- Windows that rules look at, of the sensors named (null: all): stamps in us; they begin with whole seconds, which
-- date_part gives without the numerics of extract. <view> is sensor_*.
SELECT quantity, sensor_id, date_part('epoch', start)::bigint * 1000000, date_part('epoch', "end")::bigint * 1000000,
       value, coverage, valid, revision, readings, flagged, failed, warned
FROM <view>
WHERE quantity = ANY(%(quantities)s) AND start >= %(first)s AND start < %(last)s
  AND (%(sensors)s::text[] IS NULL OR sensor_id = ANY(%(sensors)s))
