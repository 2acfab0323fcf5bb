-- The windows of all areas of a level; <view> is area_hour or area_day.
SELECT code, name, level, vintage, quantity, unit, (extract(epoch FROM start) * 1000000)::bigint AS start,
       (extract(epoch FROM "end") * 1000000)::bigint AS "end", value, estimate, minimum, maximum, readings, flagged, failed,
       coverage, valid, sensors, valid_sensors, array_to_string(members, ' ') AS members, revision
FROM <view>
WHERE quantity = %(quantity)s AND start >= %(first)s AND start < %(last)s
  AND vintage = %(vintage)s AND (%(level)s::text IS NULL OR level = %(level)s)
ORDER BY code, 7
