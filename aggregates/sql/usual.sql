-- Hours beside those that they are compared with, as `streams.alerts.unusual` runs it.

-- name: list_hours_to_compare
-- The hours of some starts of every sensor that measures a quantity, as the bytes of `streams.alerts.unusual.HOUR`, NaN for
-- null, and how many they are; <view> is sensor_1h.
SELECT n.sensor_id, n.name, n.lon, n.lat, coalesce(w.hours, 0), w.bytes
FROM sensor n LEFT JOIN (
    SELECT sensor_id, count(*) AS hours, string_agg(timestamptz_send(start) || lseg_send(lseg(
               point(coalesce(value, 'NaN'), coalesce(coverage, 'NaN')), point(valid::integer, nothing))), '') AS bytes
    FROM <view>
    WHERE quantity = %(quantity)s AND start = ANY(%(starts)s) AND (%(sensors)s::text[] IS NULL OR sensor_id = ANY(%(sensors)s))
    GROUP BY sensor_id
) w USING (sensor_id)
WHERE {in_scope} AND EXISTS (
    SELECT FROM series s
    WHERE s.sensor_id = n.sensor_id AND s.quantity = %(quantity)s AND s.period <= 3600 AND s.channel !~ '^index')
ORDER BY n.sensor_id
