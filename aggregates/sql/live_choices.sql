-- What can be chosen: quantities by how many sensors measure them.
SELECT quantity, count(DISTINCT sensor_id) AS sensors, min(period) AS shortest
FROM series WHERE channel !~ '^index' GROUP BY quantity ORDER BY 2 DESC, 1
