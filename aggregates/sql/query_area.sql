-- An area's own windows; <view> is area_hour or area_day. Without a vintage: the newest that has the area.
SELECT ''::text AS sensor_id, ''::text AS channel, quantity, unit, start, "end", value, estimate, minimum, maximum, readings,
       flagged, failed, coverage, valid, revision, code AS area, name, vintage, sensors, valid_sensors,
       array_to_string(members, ' ') AS members, 0 AS series
FROM <view>
WHERE quantity = %(quantity)s AND start >= %(first)s AND start < %(last)s AND code = %(area)s
  AND vintage = coalesce(%(vintage)s::integer, (SELECT max(vintage) FROM area WHERE code = %(area)s))
  AND (%(after)s::bigint IS NULL OR start > 'epoch'::timestamptz + %(after)s * interval '1 microsecond')
  AND (%(coverage)s::float8 = 0 OR coverage >= %(coverage)s)
ORDER BY start LIMIT %(limit)s
