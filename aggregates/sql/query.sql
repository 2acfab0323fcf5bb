-- Aggregates with their evidence; <view> is aggregate_* or sensor_*.
SELECT sensor_id, channel, quantity, unit, start, "end", value, estimate, minimum, maximum, readings, nothing, flagged, failed,
       warned, coverage, valid, revision
FROM <view>
WHERE quantity = %(quantity)s AND start >= %(first)s AND start < %(last)s
  AND (%(sensor)s::text IS NULL OR sensor_id = %(sensor)s)
ORDER BY sensor_id, channel, start
