INSERT INTO alert_clock AS c (level, judged) VALUES (%(level)s, %(judged)s)
ON CONFLICT (level) DO UPDATE SET judged = greatest(c.judged, excluded.judged)
