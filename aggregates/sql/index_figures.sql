-- An index of an hour from windows w of its substances: the worst band decides; where several substances are there and
-- all have the same band, one more if the index has that rule. Those that decide are named.
b.index, w.start, min(w."end") AS "end",
max(b.band) + (bool_and(b.plus_one) AND count(*) > 1 AND min(b.band) = max(b.band))::integer AS value,
(array_agg(w.quantity ORDER BY b.band DESC, w.quantity))[1] AS worst,
array_agg(w.quantity ORDER BY w.quantity) AS substances, min(w.coverage) AS coverage, max(w.revision) AS revision,
max(w.computed_at) AS computed_at
