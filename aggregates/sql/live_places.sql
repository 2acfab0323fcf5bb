-- Every sensor that measures a quantity, and where it stands, as one JSON text.
SELECT coalesce(json_agg(json_build_array(sensor_id, name, lon, lat) ORDER BY sensor_id), '[]')::text
FROM sensor
WHERE sensor_id IN ({live_measuring})
