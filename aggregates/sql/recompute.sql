-- The touched 5-minute rows, already locked by the merge, anew from their readings.
UPDATE window_5m w SET ({evidence}) = (SELECT {evidence} FROM (SELECT {fold}
    FROM reading r
    WHERE r.series = w.series AND r.start >= w.start AND r.start < w.start + interval '5 minutes'
      AND r.start >= %(first)s AND r.start < %(last)s) e)
FROM touched t
WHERE w.series = t.series AND w.start = t.start AND w.start >= %(first)s AND w.start < %(last)s
  AND (%(members)s::int[] IS NULL OR w.series = ANY (%(members)s::int[]))
