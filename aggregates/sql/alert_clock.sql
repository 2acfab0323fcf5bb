-- Rules about absence, and what is due by the clock, as `streams.alerts.clock` runs it.

-- name: note_ended
-- The windows that ended since the last time are due, without an error: of 5-minute windows those of a day at most, for a hub
-- may have been stopped, and days, each kind once, after its own midnight. From now on they are judged until here. Gives
-- until when hours are closed.
WITH ended AS (
    SELECT '5m' AS level, date_bin('5 minutes', %(now)s, 'epoch') AS judged UNION ALL SELECT '1d', closed_until FROM rollup
), noted AS (
    INSERT INTO unjudged (rule, level, first, last, error)
    SELECT '', level, greatest(c.judged, n.judged - interval '1 day'), n.judged - interval '5 minutes', ''
    FROM ended n JOIN alert_clock c USING (level) WHERE level = '5m' AND c.judged < n.judged
    UNION ALL
    SELECT '', level, date_trunc('day', c.judged, zone),
           (date_trunc('day', n.judged, zone) AT TIME ZONE zone - interval '1 day') AT TIME ZONE zone, ''
    FROM ended n JOIN alert_clock c USING (level) CROSS JOIN (SELECT DISTINCT zone FROM quantity) z
    WHERE level = '1d' AND c.judged < date_trunc('day', n.judged, zone)
), advanced AS (
    INSERT INTO alert_clock AS c (level, judged) SELECT level, judged FROM ended
    ON CONFLICT (level) DO UPDATE SET judged = greatest(c.judged, excluded.judged)
)
SELECT closed_until FROM rollup

-- name: advance_coverage_today
-- Today's coverage is judged of the hours that are closed, once: gives until when, where that is new.
INSERT INTO alert_clock AS c (level, judged) SELECT 'coverage_today', closed_until FROM rollup
ON CONFLICT (level) DO UPDATE SET judged = excluded.judged WHERE c.judged < excluded.judged
RETURNING judged

-- name: list_newest_readings, planned each time
-- Of sensors with a reading within `reach` that was new when it came: when it ended, how many intervals ago (of the series
-- that misses fewest), and how many seconds its newest stamp lies after its receipt. Sensors whose interval is unknown
-- are left out, and those that are in no catalogue and said less than five things: anybody can make such sensors.
SELECT sensor_id, (extract(epoch FROM max(ended)) * 1000000)::bigint,
       min(extract(epoch FROM %(now)s - ended) / every)::float8, max(extract(epoch FROM ended - received_at))::float8
FROM (
    SELECT s.sensor_id, coalesce(nullif(s.period, 0), n.interval) AS every, r.received_at,
           r.start + make_interval(secs => s.period) AS ended
    FROM series s JOIN sensor n USING (sensor_id) CROSS JOIN LATERAL (
        SELECT max(start) AS start, (array_agg(received_at ORDER BY start DESC))[1] AS received_at, count(*) AS said FROM (
            SELECT r.start, r.received_at FROM reading r
            WHERE r.series = s.series AND r.start > %(now)s - %(reach)s::interval
            ORDER BY r.start DESC LIMIT CASE WHEN n.catalogued THEN 1 ELSE 5 END
        ) newest
    ) r
    WHERE coalesce(nullif(s.period, 0), n.interval) > 0 AND r.said >= CASE WHEN n.catalogued THEN 1 ELSE 5 END
) h
WHERE received_at - ended < greatest(make_interval(secs => 3 * every), interval '10 minutes')
GROUP BY sensor_id

-- name: read_coverage_today, planned each time
-- How much of the closed hours of today each sensor covered, by its worst quantity; those that are new today are left out.
SELECT sensor_id, (extract(epoch FROM %(first)s) * 1000000)::bigint, min(covered)
FROM (
    SELECT sensor_id, quantity, sum(coverage) / (extract(epoch FROM %(until)s - %(first)s) / 3600) AS covered
    FROM sensor_1h WHERE start >= %(first)s AND start < %(until)s
    GROUP BY sensor_id, quantity HAVING bool_and(coverage IS NOT NULL)
) c JOIN sensor n USING (sensor_id)
WHERE n.registered_at < %(first)s
GROUP BY sensor_id
