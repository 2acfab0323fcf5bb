-- A time series with a row without a value where windows are missing; %s is the statement of the panel.
WITH figure AS (%s), followed AS (
    SELECT *, lead(time) OVER (PARTITION BY metric ORDER BY time) AS next FROM figure
)
SELECT time, metric, value FROM followed
UNION ALL SELECT "end", metric, NULL FROM followed WHERE next > "end"
ORDER BY time
