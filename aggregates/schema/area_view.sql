-- For analysts: areas beside the statistics of CBS, flat.

-- Every measure of the registry in a column, and the reason why it is null in another.
CREATE VIEW area_measures AS
SELECT vintage, code, <measures>
FROM area a LEFT JOIN area_statistic s USING (vintage, code)
GROUP BY vintage, code;

CREATE VIEW area_figures_hour AS
SELECT * FROM area_hour JOIN area_measures USING (vintage, code);

CREATE VIEW area_figures_day AS
SELECT * FROM area_day JOIN area_measures USING (vintage, code);

-- The windows of areas by number, for averages over days of a kind: each weighs the same.
CREATE VIEW area_numbered_1h AS
SELECT s.series, a.start, a.value, a.estimate, 1::double precision AS weight, a.coverage, a.valid
FROM area_1h a JOIN area_series s USING (vintage, code, quantity);

CREATE VIEW area_numbered_1d AS
SELECT s.series, a.start, a.value, a.estimate, 1::double precision AS weight, a.coverage, a.valid
FROM area_1d a JOIN area_series s USING (vintage, code, quantity);
