-- 5-minute rows to be recomputed, as rows that add nothing.
INSERT INTO touched (series, start, readings, nothing, flagged, failed, warned, total, weight, weighted, squares, harmonic,
                     covered, status)
SELECT series, start, 0, 0, 0, 0, 0, 0::float8, 0::float8, 0::float8, 0::float8, 0::float8, 0::float8, 1
FROM unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)
