-- Figures from evidence, of each series. A migration makes a view anew where its text or that of one above it changed.

CREATE VIEW aggregate_5m AS
SELECT {series_figures}
FROM (SELECT w.*, w.start + interval '5 minutes' AS "end", 300 AS length, 0 AS valid_hours FROM window_5m w) w
JOIN series s USING (series) JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
WHERE s.period <= 300;

-- Closed hours as rolled up, and what has run since out of the live 5-minute rows. Both arms join by themselves: the
-- planner does not push a sensor through a union of tables and groups.
CREATE VIEW aggregate_1h AS
SELECT {series_figures}
FROM (SELECT w.*, w.start + interval '1 hour' AS "end", 3600 AS length, 0 AS valid_hours FROM window_1h w) w
JOIN series s USING (series) JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
WHERE s.period <= 3600 AND w.start < (SELECT closed_until FROM rollup)
UNION ALL
SELECT {series_figures}
FROM series s JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id) CROSS JOIN LATERAL (
    SELECT date_trunc('hour', w.start, 'UTC') AS start, {sum_windows}, max(w.revision) AS revision,
           max(w.computed_at) AS computed_at, date_trunc('hour', w.start, 'UTC') + interval '1 hour' AS "end",
           3600 AS length, 0 AS valid_hours
    FROM window_5m w WHERE w.series = s.series AND w.start >= (SELECT closed_until FROM rollup)
    GROUP BY date_trunc('hour', w.start, 'UTC')
) w
WHERE s.period <= 3600;

CREATE VIEW aggregate_1d AS
SELECT {series_figures}
FROM (
    SELECT w.*, ((w.start AT TIME ZONE q.zone) + interval '1 day') AT TIME ZONE q.zone AS "end",
           extract(epoch FROM ((w.start AT TIME ZONE q.zone) + interval '1 day') AT TIME ZONE q.zone - w.start)::integer
               AS length
    FROM window_1d w JOIN series s USING (series) JOIN quantity q USING (quantity)
) w
JOIN series s USING (series) JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id);
