-- An area's own windows; <view> is area_hour or area_day. Without a vintage: the newest that has the area.
SELECT ''::text AS sensor_id, ''::text AS channel, quantity, unit, date_part('epoch', start)::bigint AS start,
       date_part('epoch', "end")::bigint AS "end", value, estimate, minimum, maximum, readings, flagged, failed,
       coverage, valid, revision, code AS area, name, vintage, sensors, valid_sensors,
       array_to_string(members, ' ') AS members
FROM <view>
WHERE quantity = %(quantity)s AND start >= %(first)s AND start < %(last)s AND code = %(area)s
  AND vintage = coalesce(%(vintage)s::integer, (SELECT max(vintage) FROM area WHERE code = %(area)s))
ORDER BY 5
