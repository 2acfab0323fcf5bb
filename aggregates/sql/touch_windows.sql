-- 5-minute rows to be recomputed, as rows that add nothing.
INSERT INTO touched (series, start)
SELECT series, start FROM unnest(%(series)s::int[], %(start)s::timestamptz[]) AS n (series, start)
