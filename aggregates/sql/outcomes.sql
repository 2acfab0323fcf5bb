-- What became of each staged reading: 0 stored, 1 corrected, 2 duplicate.
SELECT coalesce(j.outcome, 2) FROM stage s LEFT JOIN judged j USING (series, start) ORDER BY series, start
