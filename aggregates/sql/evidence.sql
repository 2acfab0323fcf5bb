readings, nothing, flagged, failed, warned, total, weight, weighted, squares, harmonic, minimum, maximum, covered, status
