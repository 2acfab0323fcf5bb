-- Write the derived flags of the staged readings; 408 are the flags that neighbour rules give.
WITH changed AS (
    UPDATE reading r SET flags = r.flags & ~408 | s.flags
    FROM stage s
    WHERE r.series = s.series AND r.start = s.start AND r.start BETWEEN %(first)s AND %(last)s
      AND (%(members)s::int[] IS NULL OR r.series = ANY (%(members)s::int[]))
    RETURNING r.series, r.start
)
INSERT INTO judged (series, start, outcome) SELECT series, start, 1 FROM changed
