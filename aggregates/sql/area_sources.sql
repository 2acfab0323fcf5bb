-- Whose sensors measure a quantity in the areas of a vintage, whether their windows are valid or not.
SELECT DISTINCT n.source FROM sensor_area m JOIN sensor n USING (sensor_id) JOIN series s USING (sensor_id)
WHERE m.vintage = %(vintage)s AND s.quantity = %(quantity)s ORDER BY 1
