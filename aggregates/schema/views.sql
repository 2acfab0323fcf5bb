-- Figures from evidence, of each series. A migration makes a view anew where its text or that of one above it changed.

CREATE VIEW aggregate_5m AS
SELECT {series_figures}
FROM (SELECT w.*, w.start + interval '5 minutes' AS "end", 300 AS length, 0 AS valid_hours, true AS running
      FROM window_5m w) w
JOIN series s USING (series) JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
LEFT JOIN source o ON o.source = n.source
WHERE s.period <= 300;

-- Quarters of an hour out of the 5-minute rows, of the time that is asked for: a condition on their start finds no rows.
CREATE VIEW aggregate_15m AS
SELECT {series_figures}
FROM series s JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
LEFT JOIN source o ON o.source = n.source
CROSS JOIN LATERAL (
    SELECT date_bin('15 minutes', w.start, 'epoch') AS start, {sum_windows}, {sum_covered}, max(w.revision) AS revision,
           max(w.computed_at) AS computed_at, date_bin('15 minutes', w.start, 'epoch') + interval '15 minutes' AS "end",
           900 AS length, 0 AS valid_hours, true AS running
    FROM window_5m w WHERE w.series = s.series AND w.start >= asked_since() AND w.start < asked_until()
    GROUP BY date_bin('15 minutes', w.start, 'epoch')
) w
WHERE s.period <= 900;

-- Closed hours as rolled up, and what has run since out of the live 5-minute rows. Both arms join by themselves: the
-- planner does not push a sensor through a union of tables and groups. It leaves out the one that cannot have the hours that
-- are asked for, which it sees by a condition on the hour itself, where a session has `constraint_exclusion`.
CREATE VIEW aggregate_1h AS
{rolled_hours} AND w.start < closed_until()
UNION ALL
SELECT {series_figures}
FROM series s JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
LEFT JOIN source o ON o.source = n.source
CROSS JOIN LATERAL (
    SELECT date_trunc('hour', w.start, 'UTC') AS start, {sum_windows}, {sum_covered}, max(w.revision) AS revision,
           max(w.computed_at) AS computed_at, date_trunc('hour', w.start, 'UTC') + interval '1 hour' AS "end",
           3600 AS length, 0 AS valid_hours, true AS running
    FROM window_5m w WHERE w.series = s.series AND w.start >= closed_until()
    GROUP BY date_trunc('hour', w.start, 'UTC')
) w
WHERE s.period <= 3600 AND w.start >= closed_until();

CREATE VIEW aggregate_1d AS
{rolled_days};

-- Readings longer than an hour, each by itself: a week or a month has no other level, and shows in no day.
CREATE VIEW aggregate_period AS
SELECT {series_figures}
FROM (
    SELECT r.series, r.start, {fold_readings}, 0 AS valid_hours, true AS running, 1 AS revision, max(r.received_at) AS computed_at,
           r.start + s.period * interval '1 second' AS "end", s.period AS length
    FROM reading r JOIN series s USING (series) WHERE s.period > 3600 GROUP BY r.series, r.start, s.period
) w
JOIN series s USING (series) JOIN quantity q USING (quantity) JOIN sensor n USING (sensor_id)
LEFT JOIN source o ON o.source = n.source;
