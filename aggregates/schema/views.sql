-- Figures from evidence, made anew by every migration. aggregate_*: each series; sensor_*: what a sensor counted.
DROP VIEW IF EXISTS sensor_5m, sensor_1h, sensor_1d, aggregate_5m, aggregate_1h, aggregate_1d, served_1h CASCADE;

-- Closed hours as rolled up, and what has run since out of the live 5-minute rows.
CREATE VIEW served_1h AS
SELECT series, start, {evidence}, revision, computed_at FROM window_1h
WHERE start < (SELECT closed_until FROM rollup)
UNION ALL
SELECT w.series, date_trunc('hour', w.start, 'UTC'), {sum_up}, max(w.revision), max(w.computed_at) FROM window_5m w
WHERE w.start >= (SELECT closed_until FROM rollup)
GROUP BY w.series, date_trunc('hour', w.start, 'UTC');

CREATE VIEW aggregate_5m AS
SELECT {figures}
FROM (SELECT w.*, w.start + interval '5 minutes' AS "end", 300 AS length, 0 AS valid_hours FROM window_5m w) w
JOIN series s USING (series) JOIN quantity q USING (quantity)
WHERE s.period <= 300;

CREATE VIEW aggregate_1h AS
SELECT {figures}
FROM (SELECT w.*, w.start + interval '1 hour' AS "end", 3600 AS length, 0 AS valid_hours FROM served_1h w) w
JOIN series s USING (series) JOIN quantity q USING (quantity)
WHERE s.period <= 3600;

CREATE VIEW aggregate_1d AS
SELECT {figures}
FROM (
    SELECT w.*, ((w.start AT TIME ZONE q.zone) + interval '1 day') AT TIME ZONE q.zone AS "end",
           extract(epoch FROM ((w.start AT TIME ZONE q.zone) + interval '1 day') AT TIME ZONE q.zone - w.start)::integer
               AS length
    FROM window_1d w JOIN series s USING (series) JOIN quantity q USING (quantity)
) w
JOIN series s USING (series) JOIN quantity q USING (quantity);
