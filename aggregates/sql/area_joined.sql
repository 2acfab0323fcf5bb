-- The windows of all areas of a level, packed: a row for each area and set of named sensors, its windows as the bytes of
-- `aggregates.areas.figures.WINDOW`, for a month of areas is a million rows. <view> is area_hour or area_day.
SELECT code, name, level, unit, array_to_string(members, ' ') AS members,
       string_agg(int8send(date_part('epoch', start)::bigint)
           || int8send(date_part('epoch', "end")::bigint) || float8send(coalesce(value, 'NaN'))
           || float8send(coalesce(estimate, 'NaN')) || float8send(coalesce(minimum, 'NaN'))
           || float8send(coalesce(maximum, 'NaN')) || float8send(coalesce(coverage, 'NaN')) || int8send(readings)
           || int8send(flagged) || int8send(failed) || int4send(sensors) || int4send(valid_sensors) || int4send(revision)
           || int4send(valid::integer), ''::bytea) AS windows
FROM <view>
WHERE quantity = %(quantity)s AND start >= %(first)s AND start < %(last)s
  AND vintage = %(vintage)s AND (%(level)s::text IS NULL OR level = %(level)s)
GROUP BY code, name, level, unit, members
