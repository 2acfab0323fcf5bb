-- The 5-minute rows of readings that are new or changed, as rows that add nothing: merging them locks them.
INSERT INTO touched (series, start, readings, nothing, flagged, failed, warned, total, weight, weighted, squares, harmonic,
                     covered, status)
SELECT DISTINCT series, date_bin('5 minutes', start, 'epoch'), 0, 0, 0, 0, 0, 0::float8, 0::float8, 0::float8, 0::float8,
       0::float8, 0::float8, 1
FROM judged WHERE outcome < 2
