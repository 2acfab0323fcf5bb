INSERT INTO mark (hour, members)
SELECT date_bin('1 hour', start, 'epoch') AS hour, array_agg(DISTINCT series) FROM touched GROUP BY hour ORDER BY hour
