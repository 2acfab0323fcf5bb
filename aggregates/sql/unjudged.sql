-- Windows that could not be judged, as `streams.alerts.unjudged` notes them and `streams.alerts.clock` judges them again.

-- name: limit_judging
-- The rest of this transaction judges, and no statement of it may keep a batch waiting for longer.
SELECT set_config('statement_timeout', '10s', true)

-- name: note_unjudged
-- A rule ('': all of its level) did not judge the windows that start from `first` to `last`; without an error they are just
-- due. Gives the number of the row.
INSERT INTO unjudged (rule, level, first, last, error)
VALUES (%(rule)s, %(level)s, %(first)s, %(last)s, %(error)s)
RETURNING unjudged

-- name: list_unjudged
-- What waits to be judged again, by rule and level: the rows, the span of their windows, and the last error.
SELECT rule, level, array_agg(unjudged), min(first), max(last), (array_agg(error ORDER BY error = '', unjudged DESC))[1]
FROM unjudged GROUP BY rule, level ORDER BY rule, level

-- name: take_unjudged
-- These rows are judged now, in this transaction; gives how many there were.
WITH taken AS (DELETE FROM unjudged WHERE unjudged = ANY(%(numbers)s) RETURNING 1) SELECT count(*) FROM taken
