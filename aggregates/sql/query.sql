-- Aggregates with their evidence; <view> is aggregate_* or sensor_*. Stamps are seconds since 1970.
SELECT sensor_id, channel, quantity, unit, date_part('epoch', start)::bigint AS start,
       date_part('epoch', "end")::bigint AS "end", value, estimate, minimum, maximum, readings, nothing, flagged, failed,
       warned, coverage, valid, revision
FROM <view>
WHERE quantity = %(quantity)s AND start >= %(first)s AND start < %(last)s
  AND (%(sensor)s::text IS NULL OR sensor_id = %(sensor)s)
ORDER BY 1, 2, 5
