-- As `windows`, of what stood in an area at a window's start.
{windows}
  AND EXISTS (SELECT FROM series s JOIN sensor_area m USING (sensor_id)
              WHERE s.series = v.series AND m.code = %(area)s AND m.vintage = %(vintage)s
                AND v.start >= m.since AND v.start < m.until)
