-- Windows of the sensors found, with their evidence; <view> is aggregate_* or sensor_*. In an area counts what stood in
-- it at the time.
SELECT v.sensor_id, v.quantity, v.channel, v.unit, v.start, v."end", v.value, v.estimate, v.minimum, v.maximum,
       v.readings::bigint AS readings, v.nothing::bigint AS nothing, v.flagged::bigint AS flagged,
       v.failed::bigint AS failed, v.warned::bigint AS warned, v.coverage, v.valid, v.revision::bigint AS revision,
       v.computed_at, n.lon, n.lat
FROM <view> v JOIN sensor n USING (sensor_id)
WHERE v.sensor_id = ANY(%(found)s) AND v.start >= %(first)s AND v.start < %(last)s
  AND (%(quantities)s::text[] IS NULL OR v.quantity = ANY(%(quantities)s))
  AND (%(coverage)s::float8 IS NULL OR v.coverage >= %(coverage)s)
  AND (%(valid)s::boolean IS NULL OR v.valid = %(valid)s)
  AND (%(area)s::text IS NULL OR EXISTS (
      SELECT FROM sensor_area m
      WHERE m.sensor_id = v.sensor_id AND m.code = %(area)s AND v.start >= m.since AND v.start < m.until
        AND m.vintage = {vintage_of_area}))
  AND (%(after_sensor_id)s::text IS NULL OR (v.sensor_id, v.quantity, v.channel, v.start)
      > (%(after_sensor_id)s, %(after_quantity)s::text, %(after_channel)s::text, %(after_start)s::timestamptz))
ORDER BY v.sensor_id, v.quantity, v.channel, v.start LIMIT %(limit)s
