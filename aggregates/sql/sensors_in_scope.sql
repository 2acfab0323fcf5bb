-- The sensors asked for, and where they stand.
SELECT n.sensor_id, n.lon, n.lat FROM sensor n WHERE {in_scope}
