-- Windows of areas; <view> is area_hour or area_day.
SELECT a.vintage, a.code, a.level, a.name, a.quantity, a.unit, a.start, a."end", a.value, a.estimate, a.minimum, a.maximum,
       a.readings, a.flagged, a.failed, a.coverage, a.valid, a.sensors, a.valid_sensors, a.members, a.revision, a.computed_at
FROM <view> a
WHERE a.vintage = coalesce(%(vintage)s::integer, (SELECT max(vintage) FROM area))
  AND a.start >= %(first)s AND a.start < %(last)s
  AND (%(quantities)s::text[] IS NULL OR a.quantity = ANY(%(quantities)s))
  AND (%(areas)s::text[] IS NULL OR a.code = ANY(%(areas)s))
  AND (%(level)s::text IS NULL OR a.level = %(level)s)
  AND (%(coverage)s::float8 IS NULL OR a.coverage >= %(coverage)s)
  AND (%(valid)s::boolean IS NULL OR a.valid = %(valid)s)
  AND (%(after_code)s::text IS NULL OR (a.code, a.quantity, a.start)
      > (%(after_code)s, %(after_quantity)s::text, %(after_start)s::timestamptz))
ORDER BY a.code, a.quantity, a.start LIMIT %(limit)s
