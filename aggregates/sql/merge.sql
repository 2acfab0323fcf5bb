-- Add the folded evidence to the 5-minute rows, in the order that keeps overlapping workers from deadlocks.
INSERT INTO window_5m AS w (series, start, {evidence})
SELECT series, start, {evidence} FROM touched ORDER BY series, start
ON CONFLICT (series, start) DO UPDATE SET
    readings = w.readings + excluded.readings,
    nothing  = w.nothing + excluded.nothing,
    flagged  = w.flagged + excluded.flagged,
    failed   = w.failed + excluded.failed,
    warned   = w.warned + excluded.warned,
    total    = w.total + excluded.total,
    weight   = w.weight + excluded.weight,
    weighted = w.weighted + excluded.weighted,
    squares  = w.squares + excluded.squares,
    harmonic = w.harmonic + excluded.harmonic,
    minimum  = least(w.minimum, excluded.minimum),
    maximum  = greatest(w.maximum, excluded.maximum),
    covered  = w.covered + excluded.covered,
    status   = least(w.status, excluded.status),
    revision = w.revision + 1,
    computed_at = now()
