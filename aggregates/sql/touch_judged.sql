-- The 5-minute rows of readings that are new or changed, as rows that add nothing: merging them locks them.
INSERT INTO touched (series, start)
SELECT DISTINCT series, date_bin('5 minutes', start, 'epoch') FROM judged WHERE outcome < 2
