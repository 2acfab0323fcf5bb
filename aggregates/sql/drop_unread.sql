-- Of the touched 5-minute rows those that no reading stands behind.
DELETE FROM window_5m w USING touched t
WHERE w.series = t.series AND w.start = t.start AND w.readings + w.nothing + w.flagged + w.failed = 0
