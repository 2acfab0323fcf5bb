-- Hours before `until` are served from window_1h, once no mark of theirs is left.
UPDATE rollup SET closed_until = %(until)s
WHERE closed_until < %(until)s AND NOT EXISTS (SELECT FROM mark WHERE hour < %(until)s)
