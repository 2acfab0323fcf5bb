-- The series that a question is about, in the order of its answer; of sensor figures the series that stands for each.
SELECT s.series, s.sensor_id, CASE WHEN %(channels)s THEN s.channel ELSE '' END, s.quantity, q.unit, s.period, q.zone,
       s.alone
FROM series s JOIN sensor n USING (sensor_id) JOIN quantity q USING (quantity)
WHERE (%(channels)s OR s.series = s.head)
  AND (%(quantity)s::text IS NULL OR s.quantity = %(quantity)s)
  AND (%(sensors)s::text[] IS NULL OR s.sensor_id = ANY (%(sensors)s))
  AND (%(west)s::float8 IS NULL OR n.lon BETWEEN %(west)s AND %(east)s AND n.lat BETWEEN %(south)s AND %(north)s)
  AND (%(area)s::text IS NULL OR s.sensor_id IN (
      SELECT m.sensor_id FROM sensor_area m WHERE m.code = %(area)s AND m.vintage = %(vintage)s))
ORDER BY s.sensor_id COLLATE "C", s.channel COLLATE "C", s.quantity COLLATE "C", s.period
