INSERT INTO mark (hour, members)
SELECT date_trunc('hour', start, 'UTC'), array_agg(DISTINCT series)
FROM unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start) GROUP BY 1 ORDER BY 1
