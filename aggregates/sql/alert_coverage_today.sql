-- How much of the closed hours of today each sensor covered, by its worst quantity; those that are new today are left out.
SELECT sensor_id, (extract(epoch FROM %(first)s) * 1000000)::bigint, min(covered)
FROM (
    SELECT sensor_id, quantity, sum(coverage) / (extract(epoch FROM %(until)s - %(first)s) / 3600) AS covered
    FROM sensor_1h WHERE start >= %(first)s AND start < %(until)s
    GROUP BY sensor_id, quantity HAVING bool_and(coverage IS NOT NULL)
) c JOIN sensor n USING (sensor_id)
WHERE n.registered_at < %(first)s
GROUP BY sensor_id
