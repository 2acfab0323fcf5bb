SELECT count(*), min(start), max(start) FROM dirty
