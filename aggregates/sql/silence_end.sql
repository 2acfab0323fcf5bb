-- End a silence now; one that is over stays as it was.
UPDATE silence SET last = greatest(first, %(now)s) WHERE silence = %(silence)s AND (last IS NULL OR last > %(now)s)
RETURNING silence
