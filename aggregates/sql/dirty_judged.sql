-- The hours of readings whose flags changed: those of this roll-up join it.
INSERT INTO dirty (series, start)
SELECT DISTINCT series, date_trunc('hour', start, 'UTC') FROM judged
EXCEPT SELECT series, start FROM dirty
