-- Whether the stored evidence of a window h and what it should be, e, differ: counts, minima and maxima exactly, sums to
-- 1e-9 of the sum of absolute values (here: of the root of n times the sum of squares, which is never smaller).
h.readings IS DISTINCT FROM e.readings OR h.nothing IS DISTINCT FROM e.nothing OR h.flagged IS DISTINCT FROM e.flagged
OR h.failed IS DISTINCT FROM e.failed OR h.warned IS DISTINCT FROM e.warned OR h.status IS DISTINCT FROM e.status
OR h.minimum IS DISTINCT FROM e.minimum OR h.maximum IS DISTINCT FROM e.maximum
OR (h.covered IS NULL) <> (e.covered IS NULL) OR abs(h.covered - e.covered) > 1e-9 * greatest(1, e.covered)
OR abs(h.total - e.total) > 1e-9 * greatest(1e-9, sqrt(e.readings * e.squares))
OR abs(h.squares - e.squares) > 1e-9 * greatest(1e-9, e.squares)
OR abs(h.weight - e.weight) > 1e-9 * greatest(1e-9, e.weight)
OR abs(h.weighted - e.weighted) > 1e-9 * greatest(1e-9, e.weight * greatest(abs(e.minimum), abs(e.maximum)))
OR abs(h.harmonic - e.harmonic) > 1e-9 * greatest(1e-9, e.harmonic)
