-- Of the touched 5-minute rows those that no reading stands behind.
DELETE FROM window_5m w USING touched t
WHERE w.series = t.series AND w.start = t.start AND w.start BETWEEN %(first)s AND %(last)s
  AND w.series = ANY (%(members)s::int[]) AND w.readings + w.nothing + w.flagged + w.failed = 0
