INSERT INTO window_1h AS h (series, start, {evidence})
SELECT d.series, d.start, {sum_up}
FROM dirty d JOIN window_5m w ON w.series = d.series AND w.start >= d.start AND w.start < d.start + interval '1 hour'
WHERE w.start >= %(first)s AND w.start < %(last)s + interval '1 hour'
  AND NOT EXISTS (SELECT FROM frozen f WHERE f.day = (d.start AT TIME ZONE 'UTC')::date)
GROUP BY d.series, d.start
ON CONFLICT (series, start) DO UPDATE SET {set_evidence}, revision = h.revision + 1, computed_at = now()
