-- How much of what each sensor counted was of the classes whose channel matches: sensor, start in us, share.
SELECT a.sensor_id, (extract(epoch FROM a.start) * 1000000)::bigint,
       sum(a.value) FILTER (WHERE a.channel ~ %(classes)s) / nullif(sum(a.value), 0)
FROM aggregate_1h a
WHERE a.quantity = 'vehicle_count' AND a.sensor_id = ANY(%(sensors)s) AND a.start >= %(first)s AND a.start < %(last)s
  AND a.channel LIKE '%%/%%' AND a.channel !~ '/any$'
GROUP BY 1, 2
