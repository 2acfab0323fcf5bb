-- Windows that could not be judged, as `streams.alerts.unjudged` notes them and `streams.alerts.clock` judges them again.

-- name: limit_judging
-- The rest of this transaction judges, and no statement of it may keep a batch waiting for longer.
SELECT set_config('statement_timeout', '10s', true)

-- name: note_unjudged
-- A rule ('': all of its level) did not judge the windows that start from `first` to `last`.
INSERT INTO unjudged (rule, level, first, last, error) VALUES (%(rule)s, %(level)s, %(first)s, %(last)s, %(error)s)

-- name: list_unjudged
-- What waits to be judged again, by rule and level: the rows, the span of their windows, and the last error.
SELECT rule, level, array_agg(unjudged), min(first), max(last), (array_agg(error ORDER BY error = '', unjudged DESC))[1]
FROM unjudged GROUP BY rule, level ORDER BY rule, level

-- name: read_newest_unjudged
-- The number of the newest row.
SELECT max(unjudged) FROM unjudged

-- name: take_unjudged
-- The next slice of what waits, up to a number, of one rule and level, the shorter first; all of these rows are one from
-- then on. Gives rule, level, the starts of the first and the last window, and until when windows of the level have ended.
-- What the clock judges it judges every minute anyway.
WITH dropped AS (
    DELETE FROM unjudged WHERE level NOT IN ('5m', '1h', '1d') AND unjudged <= %(newest)s
), waiting AS (
    SELECT *, least(last, first + CASE level WHEN '5m' THEN interval '1 hour' WHEN '1h' THEN '1 day' ELSE '30 days' END, until) AS slice
    FROM (
        SELECT rule, level, array_agg(unjudged) AS numbers, max(unjudged) AS kept, min(first) AS first, max(last) AS last,
               CASE level WHEN '5m' THEN %(now)s::timestamptz ELSE %(closed)s::timestamptz END AS until
        FROM unjudged WHERE level IN ('5m', '1h', '1d') AND unjudged <= %(newest)s GROUP BY rule, level, error = ''
    ) w
    WHERE first < until ORDER BY last - first, rule, level LIMIT 1
), rest AS (
    UPDATE unjudged u SET first = slice, last = w.last FROM waiting w WHERE u.unjudged = kept AND slice < w.last RETURNING 1
), taken AS (
    DELETE FROM unjudged u USING waiting w WHERE u.unjudged = ANY(numbers) AND NOT (u.unjudged = kept AND slice < w.last)
    RETURNING 1
)
SELECT rule, level, first, slice, until FROM waiting WHERE EXISTS (SELECT FROM taken) OR EXISTS (SELECT FROM rest)
