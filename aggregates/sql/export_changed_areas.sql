-- As `export_changed`, of the area figures of a vintage.
SELECT quantity, (start AT TIME ZONE 'UTC')::date AS day, max(computed_at)
FROM area_1h WHERE vintage = %(vintage)s AND computed_at >= %(since)s AND start >= %(first)s AND start < %(last)s
GROUP BY 1, 2 ORDER BY 1, 2
