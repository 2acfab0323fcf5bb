-- Aggregates with their evidence; <view> is aggregate_* or sensor_*. Stamps are microseconds since 1970.
SELECT sensor_id, channel, quantity, unit, (extract(epoch FROM start) * 1000000)::bigint AS start,
       (extract(epoch FROM "end") * 1000000)::bigint AS "end", value, estimate, minimum, maximum, readings, nothing, flagged, failed,
       warned, coverage, valid, revision
FROM <view>
WHERE quantity = %(quantity)s AND start >= %(first)s AND start < %(last)s
  AND (%(sensor)s::text IS NULL OR sensor_id = %(sensor)s)
ORDER BY 1, 2, 5
