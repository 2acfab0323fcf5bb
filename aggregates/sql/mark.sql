INSERT INTO mark (hour, members)
SELECT date_trunc('hour', start, 'UTC'), array_agg(DISTINCT series) FROM touched GROUP BY 1 ORDER BY 1
