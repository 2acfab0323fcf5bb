INSERT INTO mark (hour, members)
SELECT hour, array_agg(series)
FROM (SELECT DISTINCT date_trunc('hour', start, 'UTC') AS hour, series FROM touched) t GROUP BY hour ORDER BY hour
