-- Which sensor belongs to which area, with numbers for both: sorting a million rows by text takes twice as long.
SELECT vintage, code, sensor_id, since, until, dense_rank() OVER (ORDER BY vintage, code)::integer AS area,
       dense_rank() OVER (ORDER BY sensor_id COLLATE "C")::integer AS place
FROM sensor_area
