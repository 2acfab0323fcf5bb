readings = excluded.readings, nothing = excluded.nothing, flagged = excluded.flagged, failed = excluded.failed,
warned = excluded.warned, total = excluded.total, weight = excluded.weight, weighted = excluded.weighted,
squares = excluded.squares, harmonic = excluded.harmonic, minimum = excluded.minimum, maximum = excluded.maximum,
covered = excluded.covered, status = excluded.status
