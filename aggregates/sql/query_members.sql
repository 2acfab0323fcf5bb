-- The windows of what stood in an area at their start; <view> is aggregate_* or sensor_*.
SELECT v.sensor_id, v.channel, v.quantity, v.unit, date_part('epoch', v.start)::bigint AS start,
       date_part('epoch', v."end")::bigint AS "end", v.value, v.estimate, v.minimum, v.maximum, v.readings,
       v.nothing, v.flagged, v.failed, v.warned, v.coverage, v.valid, v.revision, m.code AS area, m.vintage
FROM <view> v JOIN sensor_area m ON m.sensor_id = v.sensor_id AND v.start >= m.since AND v.start < m.until
WHERE v.quantity = %(quantity)s AND v.start >= %(first)s AND v.start < %(last)s AND m.code = %(area)s
  AND m.vintage = coalesce(%(vintage)s::integer, (SELECT max(vintage) FROM area WHERE code = %(area)s))
  AND (%(sensor)s::text IS NULL OR v.sensor_id = %(sensor)s)
ORDER BY 1, 2, 5
