-- Air-quality indices of an hour, of stations and of areas, from valid hours alone.

CREATE VIEW index_1h AS
SELECT w.sensor_id, {index_figures}
FROM sensor_1h w JOIN index_band b ON b.quantity = w.quantity AND w.value > b.above AND w.value <= b.upto
WHERE w.valid
GROUP BY w.sensor_id, b.index, w.start;

-- Of an area's mean over its valid sensors.
CREATE VIEW index_area_1h AS
SELECT w.vintage, w.code, w.level, w.name, {index_figures}
FROM area_hour w JOIN index_band b ON b.quantity = w.quantity AND w.value > b.above AND w.value <= b.upto
WHERE w.valid
GROUP BY w.vintage, w.code, w.level, w.name, b.index, w.start;
